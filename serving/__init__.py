"""Serving with Waitress on every core: `python wsgi.py`. Gunicorn needs nothing of this: see gunicorn.conf.py."""
