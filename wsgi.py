"""What a server loads: `gunicorn wsgi:app`. Run as a script it serves with Waitress, on every platform."""

if __name__ == "__main__":
    # Before the application is made: the parent only watches over the processes that serve.
    from serving.waitress_server import main

    raise SystemExit(main())

import sys
from pathlib import Path

# mod_wsgi does not look for modules beside this file. Past the link `current`, which may lead elsewhere tomorrow.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from serving import foreign_parent

foreign_parent.prepare()

from app import create_app  # noqa: E402
from config import ConfigError  # noqa: E402

try:
    app = application = create_app()
except ConfigError as error:  # its text is written for the person who starts the server
    sys.exit(str(error))

foreign_parent.begin(app)
