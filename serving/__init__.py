"""How the application is served: Waitress on every core (`python wsgi.py`), and what Gunicorn's threads need."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config import Config


def introduction(settings: "Config", server: str) -> str:
    """The one line that says at a start what runs: version, server, workers, database, cache."""
    from app.platform.version import version  # not above: it imports the application (see foreign_parent.py)

    database = re.split(r"[:+]", settings.DATABASE_URL)[0]
    cache = "redis" if settings.REDIS_URL else "sqlite"
    return f"{settings.APP_NAME} {version()}: {server}, database {database}, cache {cache}"
