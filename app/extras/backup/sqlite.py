"""SQLite through its backup interface, while others read and write. Never with cp: 1 of 15 such copies was corrupt."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from app.extensions import db
from app.extras.backup.report import Failed, connected, count

MEMBER = "database.sqlite3"


def snapshot(target: Path) -> dict[str, int]:
    """Writes the database as it is at this moment; returns how many rows each table has in the same moment."""
    with db.engine.connect() as connection:
        rows = count(connection)  # begins the transaction that the copy reads in: no writer makes it begin again
        source: Any = connection.connection.driver_connection
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, whatever opens it
    return rows


def trial(file: Path) -> dict[str, int]:
    """The rows of a database with what is in `file`. Raises Failed when it is not whole."""
    with connected(URL.create("sqlite", database=str(file))) as connection:
        if (fault := connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()) != "ok":
            raise Failed(f"The database is damaged: {fault}")
        return count(connection)


def put_back(file: Path) -> None:
    """Replaces all that the database holds, in one transaction: a server that runs sees the old or the new."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(str(db.engine.url.database))) as live:
        source.backup(live)
