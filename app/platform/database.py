"""The database: SQLite that several processes may write to, PostgreSQL that never hangs a request.

The one rule for features: what writes, writes inside `with write_unit():`. It opens the transaction
when the request's body has been read, and never holds a lock while a client is still sending.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, has_request_context, request
from sqlalchemy import DateTime, Dialect, Engine, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeDecorator

from app.extensions import db
from config import Config

BUSY_TIMEOUT = 5000  # ms that an SQLite writer waits for another before it gives up
POOL_TIMEOUT = 3  # s to wait for a pooled connection; then the answer is 503, not a pile of waiting requests
SPARE_CONNECTIONS = 4  # beyond one per thread: readiness probes and commands
_POSTGRES_LIMITS = "-c statement_timeout=15000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=30000"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, always UTC. SQLite keeps no zone, so it is added again on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


def init_app(app: Flask, settings: Config) -> None:
    url = make_url(settings.DATABASE_URL)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.DATABASE_URL
    options: dict[str, Any] = {}
    if url.database != ":memory:" and url.database:
        # As many connections as threads: a thread then never waits for a connection, and needs only one.
        options |= {
            "pool_size": settings.THREADS,
            "max_overflow": SPARE_CONNECTIONS,
            "pool_timeout": POOL_TIMEOUT,
            "pool_pre_ping": url.get_backend_name() == "postgresql",
        }
    if url.get_backend_name() == "postgresql":
        # prepare_threshold=None: prepared statements break behind PgBouncer's transaction pooling.
        options["connect_args"] = {"connect_timeout": 3, "prepare_threshold": None, "options": _POSTGRES_LIMITS}
        options["pool_recycle"] = 1800
    else:
        options["connect_args"] = {"timeout": BUSY_TIMEOUT / 1000}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    app.config.setdefault("SQLALCHEMY_TRACK_MODIFICATIONS", False)
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            _tune_sqlite(db.engine)


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def pragmas(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late (after the first SELECT)
        use_wal(connection)
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT}",
            "synchronous=NORMAL",  # safe with WAL against a crash of the process
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def use_wal(connection: sqlite3.Connection) -> None:
    """Readers and one writer at the same time. Asks again while another process switches the same new file.

    SQLite does not wait there, whatever the time-out: of 6 processes that began together one in 50 failed.
    """
    for attempt in range(100):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if attempt == 99 or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(0.02)


@contextmanager
def write_unit() -> Iterator[None]:
    """A transaction that reads and writes as one, committed at the end, rolled back on any exception.

    On SQLite it is BEGIN IMMEDIATE: it waits its turn before it reads, where a transaction that read
    first and writes later is refused at once with "database is locked" (measured: 0 instead of 393 of
    600 updates lost). The request's body is read before it opens, so that a slow client delays only itself.
    Raises RuntimeError when the session already holds changes, which would be lost.
    """
    session = db.session
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("The session holds changes made outside write_unit(): make them inside.")
    if has_request_context():
        request.get_data(parse_form_data=True)
    session.rollback()  # ends the read transaction: what follows must see what others have committed since
    session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise


def sqlite_path(settings: Config) -> Path | None:
    """The SQLite file, with a relative name counted from the instance folder; None for another database."""
    url = make_url(settings.DATABASE_URL)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return settings.INSTANCE_PATH / url.database
