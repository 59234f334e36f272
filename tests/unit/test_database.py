"""Writes that are whole or not at all, moments that keep their zone, and an engine that never hangs a request."""

import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DisconnectionError, OperationalError

from app.extensions import db
from app.platform import database
from app.platform.database import UtcDateTime, use_wal, utc_now, write_unit
from tests.unit.notes import Note, make_table


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        make_table()
        yield


def titles() -> list[str]:
    with db.engine.connect() as other:  # what another process would see
        return [row[0] for row in other.execute(text("SELECT title FROM notes ORDER BY id"))]


def test_a_write_unit_commits_at_its_end() -> None:
    with write_unit():
        db.session.add(Note(title="kept"))
        assert titles() == []
    assert titles() == ["kept"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_write_unit_that_fails_leaves_nothing_behind(fault: type[BaseException]) -> None:
    def fail_halfway() -> None:
        with write_unit():
            db.session.add(Note(title="half"))
            db.session.flush()
            raise fault

    with pytest.raises(fault):
        fail_halfway()
    assert titles() == []
    assert not db.session().in_transaction(), "the lock is given back"
    with write_unit():
        db.session.add(Note(title="next"))
    assert titles() == ["next"]


@pytest.mark.parametrize("change", ["new", "dirty", "deleted"])
def test_changes_made_outside_are_refused_instead_of_lost(change: str) -> None:
    with write_unit():
        db.session.add(Note(title="first"))
    note = db.session.scalars(select(Note)).one()
    if change == "new":
        db.session.add(Note(title="outside"))
    elif change == "dirty":
        note.title = "changed"
    else:
        db.session.delete(note)
    with pytest.raises(RuntimeError, match=r"outside of this write_unit\(\)"), write_unit():
        pass
    assert titles() == ["first"]


@pytest.mark.parametrize("written", ["flushed", "in bulk"])
def test_what_was_sent_to_the_database_before_a_unit_is_refused_instead_of_lost(written: str) -> None:
    if written == "flushed":
        db.session.add(Note(title="outside"))
        db.session.flush()
    else:
        db.session.execute(insert(Note).values(title="outside", stars=0, created_at=utc_now()))
    with pytest.raises(RuntimeError, match=r"outside of this write_unit\(\)"), write_unit():
        pass
    db.session.rollback()
    with write_unit():
        db.session.add(Note(title="inside"))
    assert titles() == ["inside"]


def test_a_unit_inside_a_unit_is_refused() -> None:
    def nest() -> None:
        with write_unit():
            db.session.add(Note(title="outer"))
            db.session.flush()
            with write_unit():
                pass

    with pytest.raises(RuntimeError, match="nest no units"):
        nest()
    assert titles() == []


def test_what_others_have_committed_meanwhile_is_seen() -> None:
    assert db.session.scalars(select(Note)).all() == []  # opens a read transaction
    with db.engine.begin() as other:
        other.execute(text("INSERT INTO notes (title, stars, created_at) VALUES ('theirs', 0, '2026-01-01')"))
    with write_unit():
        assert [note.title for note in db.session.scalars(select(Note))] == ["theirs"]


def test_two_threads_that_read_and_write_lose_nothing(app: Flask) -> None:
    with write_unit():
        db.session.add(Note(title="counted"))
    together = threading.Barrier(2)

    def clap(times: int) -> None:
        together.wait(10)
        for _ in range(times):
            with app.app_context(), write_unit():
                db.session.scalars(select(Note)).one().stars += 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(clap, [50, 50]))
    assert db.session.scalars(select(Note.stars)).one() == 100


def test_a_writer_that_waits_too_long_is_told(monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 50)
    with make_app().app_context(), write_unit(), db.engine.connect() as other:
        other = other.execution_options(sqlite_begin="IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            other.execute(text("SELECT 1"))


def test_a_reader_never_waits_for_a_writer() -> None:
    with write_unit():
        db.session.add(Note(title="unfinished"))
        db.session.flush()
        assert titles() == []


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("busy_timeout", 5000), ("synchronous", 1), ("foreign_keys", 1)]
)
def test_sqlite_is_tuned(pragma: str, value: object) -> None:
    assert db.session.execute(text(f"PRAGMA {pragma}")).scalar() == value


class Busy:
    """A connection that is refused while another process switches the file, which SQLite does not wait for."""

    def __init__(self, refusals: int, code: int) -> None:
        self.refusals, self.code = refusals, code

    def execute(self, statement: str) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self.code
            raise error


def test_processes_that_make_a_new_file_together_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.time, "sleep", lambda _: None)
    use_wal(Busy(99, sqlite3.SQLITE_BUSY))  # type: ignore[arg-type]
    for faulty in (Busy(100, sqlite3.SQLITE_BUSY), Busy(1, sqlite3.SQLITE_CANTOPEN)):
        with pytest.raises(sqlite3.OperationalError):
            use_wal(faulty)  # type: ignore[arg-type]


# --- moments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_a_moment_comes_back_as_the_same_moment_in_utc(moment: datetime) -> None:
    with write_unit():
        db.session.add(note := Note(title="t", created_at=moment))
    db.session.expire(note)
    assert note.created_at == moment
    assert note.created_at.utcoffset() == timedelta(0)


def test_a_new_row_knows_when_it_was_made() -> None:
    with write_unit():
        db.session.add(note := Note(title="t"))
    assert timedelta(0) <= utc_now() - note.created_at < timedelta(seconds=10)


def test_no_moment_stays_no_moment_and_other_databases_zones_are_turned() -> None:
    column, dialect = UtcDateTime(), db.engine.dialect
    assert column.process_bind_param(None, dialect) is None
    assert column.process_result_value(None, dialect) is None
    elsewhere = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert column.process_result_value(elsewhere, dialect) == datetime(2026, 1, 1, 7, tzinfo=UTC)


# --- the engine ---------------------------------------------------------------------------------


def test_postgresql_gets_short_limits_and_a_connection_per_thread(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="postgresql://u:p@nowhere.invalid/app", THREADS=7)
    options: dict[str, Any] = app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    assert (options["pool_size"], options["max_overflow"], options["pool_timeout"]) == (7, 4, 3)
    assert (options["connect_args"]["connect_timeout"], options["connect_args"]["tcp_user_timeout"]) == (2, 20000)
    assert options["connect_args"]["prepare_threshold"] is None  # PgBouncer
    for limit in ("statement_timeout=15s", "lock_timeout=3s", "idle_in_transaction_session_timeout=30s"):
        assert f"-c {limit}" in options["connect_args"]["options"]
    with app.app_context():
        assert (db.engine.dialect.name, db.engine.driver) == ("postgresql", "psycopg")


def test_a_database_in_memory_serves_too(make_app: Callable[..., Flask]) -> None:
    with make_app(DATABASE_URL="sqlite:///:memory:").app_context():
        make_table()
        with write_unit():
            db.session.add(Note(title="t"))
        assert db.session.scalars(select(Note.title)).one() == "t"


@pytest.mark.parametrize("busy", [[True] * 9, [False, *[True] * 9]], ids=["nothing whole", "one result"])
def test_a_database_server_that_answers_only_in_part_holds_a_request_for_a_moment(
    busy: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PING_TIMEOUT", 0.2)
    moments, states = iter([0, 0, 0, 1]), iter(busy)
    monkeypatch.setattr(database, "time", Mock(monotonic=lambda: next(moments)))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"Z")
        server = Mock(socket=ours, is_busy=lambda: next(states))
        with pytest.raises(DisconnectionError, match="does not answer"):
            database._ping(Mock(closed=False, pgconn=server))
