"""What the operator is told: why a step failed, how far a long one is, what a database holds."""

import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy import URL, create_engine, func, inspect, select, table, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

_last = time.monotonic()


class Failed(click.ClickException):
    """The text says why, and what to do. The database and the backups are as they were."""

    exit_code = 2

    def format_message(self) -> str:
        return f"{self.message.rstrip('. ')}. Nothing was changed."


@contextmanager
def explained() -> Iterator[None]:
    """Makes a fault of the disk or of the database one line; ended from outside, it still tidies up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Failed.exit_code))
    try:
        yield
    except (OSError, sqlite3.Error, DBAPIError) as error:
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        if "not a database" in reason or "malformed" in reason:
            reason += ". To restore, move the damaged database away first, with its -wal and -shm"
        raise Failed(f"It did not work: {reason}") from None


def progress(line: str) -> None:
    """Now and then a line on the error stream, for a terminal and a journal alike."""
    global _last
    if time.monotonic() > _last + 2:  # seconds; what is done sooner says nothing
        _last = time.monotonic()
        click.echo(line, err=True)


def count(connection: Connection) -> dict[str, int]:
    """The rows of each table, within the connection's transaction."""
    names = sorted(inspect(connection).get_table_names())
    if connection.dialect.name == "sqlite":  # an index for searching has tables of its own, which are never empty
        found = tuple(connection.scalars(text("SELECT name || '_' FROM sqlite_master WHERE sql LIKE 'CREATE VIRT%'")))
        names = [name for name in names if not name.startswith(found)]
    return {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}


def connected(url: URL, **options: Any) -> Connection:
    """A connection without the time limits of a request."""
    return create_engine(url, poolclass=NullPool, **options).connect()
