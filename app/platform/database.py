"""The database: SQLite that several processes may write to, PostgreSQL that never hangs a request.

The one rule for features: what writes, writes inside `with write_unit():`. It opens the transaction
when the request's body has been read, and never holds a lock while a client is still sending.
"""

import selectors
import sqlite3
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask, has_request_context, request
from sqlalchemy import DateTime, Dialect, Engine, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.types import TypeDecorator

from app.extensions import db
from config import Config

BUSY_TIMEOUT = 5000  # ms that an SQLite writer waits for another before it gives up
POOL_TIMEOUT = 3  # s to wait for a pooled connection; then the answer is 503, not a pile of waiting requests
GREENLET_POOL_TIMEOUT = 15  # under gevent: a waiting greenlet holds no thread, and there are many more than connections
SPARE_CONNECTIONS = 4  # beyond one per thread: readiness probes and commands
PING_TIMEOUT = 1  # s in which the server of a pooled connection must answer; then another connection is tried
_POSTGRES_LIMITS = {"statement_timeout": "15s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "30s"}
# A running statement whose server lost its power or its network ends after 20 s, and not with the kernel's 15 minutes.
HOST_IS_GONE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20000}


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
        # As many connections as threads: a thread then never waits for one. Greenlets do, a little longer.
        options |= {
            "pool_size": settings.THREADS,
            "max_overflow": SPARE_CONNECTIONS,
            "pool_timeout": GREENLET_POOL_TIMEOUT if _is_patched_by_gevent() else POOL_TIMEOUT,
        }
    if url.get_backend_name() == "postgresql":
        # prepare_threshold=None: prepared statements break behind PgBouncer's transaction pooling.
        limits = " ".join(f"-c {name}={value}" for name, value in _POSTGRES_LIMITS.items())
        options["connect_args"] = {"connect_timeout": 2, "prepare_threshold": None, "options": limits} | HOST_IS_GONE
        options["pool_recycle"] = 1800
    else:
        options["connect_args"] = {"timeout": BUSY_TIMEOUT / 1000}
    options["hide_parameters"] = True  # an error's text goes to logs and mails: no hash, no letter of anybody in it
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    app.config.setdefault("SQLALCHEMY_TRACK_MODIFICATIONS", False)
    db.init_app(app)
    with app.app_context():
        weakref.finalize(app, db.engine.dispose)  # at the process' end, too: SQLite's file then needs no -wal beside it
        if db.engine.dialect.name == "sqlite":
            _tune_sqlite(db.engine)
        else:
            event.listen(db.engine, "checkout", _ping)
            _limit_through_poolers(db.engine)


def _is_patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _ping(connection: Any, *_: Any) -> None:
    """Before a pooled connection is used. SQLAlchemy's own ping would wait for a server that is stopped for ever."""
    server, until = connection.pgconn, time.monotonic() + PING_TIMEOUT
    try:
        server.send_query(b"")  # asks for nothing and begins no transaction
        with selectors.DefaultSelector() as answers:
            answers.register(server.socket, selectors.EVENT_READ)
            more = True
            while more:
                while server.is_busy():
                    remaining = until - time.monotonic()
                    if remaining < 0 or not answers.select(remaining):
                        raise TimeoutError("the server does not answer")
                    server.consume_input()
                more = server.get_result()
        if connection.closed:
            raise ConnectionError("the server has closed the connection")
    except Exception as error:  # psycopg's, too, which is not imported where SQLite is used
        raise DisconnectionError(f"a pooled connection to the database is of no use: {error}") from error


def _limit_through_poolers(engine: Engine) -> None:
    """The limits hold also through PgBouncer, which refuses them as options of a connection, or takes and forgets them.

    It is found out with each new connection; the limits then come with each transaction.
    """
    begin_with = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _POSTGRES_LIMITS.items())
    (name, value), *_ = _POSTGRES_LIMITS.items()

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **parameters)
        except dialect.loaded_dbapi.OperationalError as error:
            if "startup parameter" not in str(error) or not parameters.pop("options", None):
                raise
            return dialect.connect(*arguments, **parameters)  # which are the engine's own: the next one does so at once

    @event.listens_for(engine, "connect")
    def look(connection: Any, record: Any) -> None:
        connection.autocommit = True
        record.info[begin_with] = connection.execute(f"SHOW {name}").fetchone() != (value,)
        connection.autocommit = False

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.info.get(begin_with):
            connection.exec_driver_sql(begin_with)


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
    Raises RuntimeError when something was written before, or by a unit around this one: it would be lost.
    """
    session = db.session
    if session.info.get(_WRITTEN) or session.new or session.dirty or session.deleted:
        raise RuntimeError("The session has written outside of this write_unit(): do it inside, and nest no units.")
    if has_request_context():
        request.get_data(parse_form_data=True)
    session.rollback()  # ends the read transaction: what follows must see what others have committed since
    session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
    session.info[_WRITTEN] = True
    afterwards = session.info[_AFTERWARDS] = []
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.pop(_AFTERWARDS, None)
    for action in afterwards:
        action()


def after_commit(action: Callable[[], None]) -> None:
    """Does it when the write_unit() around this has committed; at once where there is none."""
    if is_writing():
        db.session.info[_AFTERWARDS].append(action)
    else:
        action()


_AFTERWARDS = "groundwork.afterwards"  # in Session.info: what the write unit has put off
_WRITTEN = "groundwork.written"  # in Session.info: this transaction has written, or is a write unit


def is_writing() -> bool:
    """Within a write_unit()."""
    return _AFTERWARDS in db.session.info


def _note_writes(session: Session, *_: Any) -> None:
    session.info[_WRITTEN] = True


def _note_bulk_writes(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info[_WRITTEN] = True


def _forget_writes(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:  # a flush, a savepoint end too
        session.info.pop(_WRITTEN, None)


event.listen(db.session, "after_flush", _note_writes)
event.listen(db.session, "do_orm_execute", _note_bulk_writes)
event.listen(db.session, "after_transaction_end", _forget_writes)
