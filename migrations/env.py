"""How Alembic reaches the database: one transaction under a lock, so that of two servers that start, one migrates."""

import re
from typing import Literal

from alembic import context
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeDecorator

from app.extensions import db
from app.platform.database import BUSY_TIMEOUT

ADVISORY_LOCK = 7_236_401  # any number, as long as nothing else in this database uses it
WAIT = 120  # seconds that a second migration waits for the first


def sqlite_pragmas(connection: Connection, **pragmas: object) -> None:
    for name, value in pragmas.items():
        connection.connection.driver_connection.execute(f"PRAGMA {name}={value}")


def is_described(name: str | None, kind: str, _: object) -> bool:
    """Indexes for searching are made by hand in a migration, as no model can describe them: their names say so."""
    by_hand = re.search(r"_search(_\w+)?$", name or "") and name not in db.metadata.tables
    return not (kind in {"table", "index"} and by_hand)


def plain_types(kind: str, item: object, _: object) -> str | Literal[False]:
    """Writes the database's own type into a migration, so that it runs after our type was renamed or deleted."""
    return f"sa.{item.impl!r}" if kind == "type" and isinstance(item, TypeDecorator) else False


def run() -> None:
    engine = db.engine
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if sqlite:
            # Rebuilding a table drops the old one; with foreign keys on, that deletes the rows that point to it.
            # On the driver's connection: a pragma inside a transaction would have no effect.
            sqlite_pragmas(connection, foreign_keys="OFF", busy_timeout=WAIT * 1000)
            connection = connection.execution_options(sqlite_begin="IMMEDIATE")
        else:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            # From here on a lock that a busy table does not give within 3 s fails instead of stopping the site.
            connection.execute(text("SET LOCAL lock_timeout = '3s'"))
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=sqlite,
            transactional_ddl=True,
            compare_type=True,
            include_name=is_described,
            render_item=plain_types,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        if sqlite:
            sqlite_pragmas(connection, foreign_keys="ON", busy_timeout=BUSY_TIMEOUT)


run()
