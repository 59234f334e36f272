"""How the application is served: Waitress on every core (`python wsgi.py`), and what Gunicorn's threads need."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config import Config


def introduction(settings: "Config", server: str) -> str:
    """The one line that says at a start what runs: version, server, workers, database, cache."""
    from app.platform.version import version  # not above: it imports the application (see foreign_parent.py)

    database = re.split(r"[:+]", settings.DATABASE_URL)[0]
    cache = "redis" if settings.REDIS_URL else "sqlite"
    return f"{settings.APP_NAME} {version()}: {server}, database {database}, cache {cache}"


def begin(
    application: Any,
    port: int | None,
    is_ending: Callable[[], bool] = lambda: False,
    is_recycled: Callable[[], bool] = lambda: False,
    streams: int = 0,
) -> None:
    """To be called in each process when it begins to serve `port` (None: not known): what waits for that starts now.

    `is_ending` says whether the process has been told to leave, `is_recycled` whether another takes its place,
    `streams` how many of its connections may stay open, which then have to end within a second (extras/push).
    """
    extensions = getattr(application, "extensions", {})
    extensions |= {"is_leaving": is_ending, "streams": streams}
    for start in extensions.get("when_serving", ()):
        start(port, is_ending, is_recycled)
