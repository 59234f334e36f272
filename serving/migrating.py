"""Brings the database up to date before a container's server begins, in a copy of its parent (scripts/container.sh).

The copy has the application already, where a command of its own would load it a second time: half of the time that a
start takes. What it imports besides, and the connections that it opens, leave with it.
"""

import os
import signal
import sys
from typing import Any

ASKED = "MIGRATE_FIRST"  # in the environment


def migrate(arbiter: Any) -> None:
    """To be called in Gunicorn's master before it listens. Raises SystemExit where that fails, or is interrupted."""
    copy = os.fork()
    if copy == 0:
        _become_the_command(arbiter.app)
    # Process 1 of a container is spared the signals that it has no handlers for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(copy, number))
    _, status = os.waitpid(copy, 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(code if code > 0 else 128 - code)


def _become_the_command(application: Any) -> None:
    code = 1
    try:
        from flask.cli import ScriptInfo

        app = application.wsgi()
        app.cli(args=["db", "upgrade"], prog_name="flask", obj=ScriptInfo(create_app=lambda: app))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
