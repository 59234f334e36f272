"""The deployment checklist as code."""
