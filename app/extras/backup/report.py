"""What all steps need: why one failed, what a database holds."""

from typing import Any

import click
from sqlalchemy import URL, create_engine, func, inspect, select, table, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool


class Failed(click.ClickException):
    """The text says why, and what to do."""

    exit_code = 2


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
