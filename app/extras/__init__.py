"""What some applications need. Each part imports the platform only, and goes with its folder and its line."""
