"""How the application is served: Waitress on every core (`python wsgi.py`), and what Gunicorn's threads need."""
