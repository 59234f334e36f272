"""What a server loads: `gunicorn wsgi:app`. Run as a script it serves with Waitress, on every platform."""

if __name__ == "__main__":
    # Before the application is made: the parent only watches over the processes that serve.
    from serving.waitress_server import main

    raise SystemExit(main())

import sys

from app import create_app
from config import ConfigError

try:
    app = application = create_app()
except ConfigError as error:  # its text is written for the person who starts the server
    sys.exit(str(error))
