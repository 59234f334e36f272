"""The real application through PgBouncer with transaction pooling, where clients are more than connections."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app import create_app
from app.extensions import db
from app.platform.locks import PostgresLock
from benchmarks.load import Load
from benchmarks.servers import WORK, flask, gunicorn
from benchmarks.writers import ENTRIES, Writers, written
from config import TestingConfig
from tests.servers import services
from tests.servers.running import get, wait_until

LIMITS = {"statement_timeout": "15s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "30s"}


@pytest.fixture
def migrated(pooled_url: str, tmp_path: Path) -> str:
    """Migrations and tables are made through PgBouncer, too."""
    flask(tmp_path, "db", "upgrade", DATABASE_URL=pooled_url)
    flask(tmp_path, "make-counters", application=WORK, DATABASE_URL=pooled_url)
    flask(tmp_path, "make-entries", application=ENTRIES, DATABASE_URL=pooled_url)
    return pooled_url


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_under_load_every_request_is_answered(migrated: str, tmp_path: Path, worker_class: str) -> None:
    settings = {"DATABASE_URL": migrated, "WORKER_CLASS": worker_class}
    with (
        gunicorn(tmp_path, "-w", "2", application=WORK, **settings) as server,
        Load(server.port, "/counters/", "/counters/1", "/ready", keep_alive=16, close=8) as load,
    ):
        time.sleep(4)
        wait_until(lambda: load.result.answered > 100, 30)
    assert load.result.failed == 0, load.result


def test_no_acknowledged_row_is_lost(migrated: str, tmp_path: Path) -> None:
    with gunicorn(tmp_path, "-w", "2", application=ENTRIES, DATABASE_URL=migrated) as server:
        before = written(migrated)
        names = range(100, 112)
        with Writers(server.port, names) as writers:
            time.sleep(3)
    assert set(writers.outcomes) == {"200"}
    rows = written(migrated)
    assert {name: rows[name] for name in names} == writers.acknowledged
    assert all(rows[name] == count for name, count in before.items() if name not in names)


@pytest.fixture
def make_application(tmp_path: Path) -> Iterator[Callable[[str], Flask]]:
    made: list[Flask] = []

    def make(url: str) -> Flask:
        url = url.replace("postgres:", "postgresql+psycopg:")
        made.append(create_app(TestingConfig(INSTANCE_PATH=tmp_path, DATABASE_URL=url)))
        return made[-1]

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def limits() -> dict[str, str]:
    return {name: db.session.scalar(text(f"SHOW {name}")) or "" for name in LIMITS}


@pytest.mark.parametrize("forgets", [False, True], ids=["refuses the options", "takes and forgets them"])
def test_the_time_outs_hold_and_stay_with_their_transactions(
    database_url: str, forgets: bool, make_application: Callable[[str], Flask]
) -> None:
    if not services.pgbouncer_binary():
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    settings = {"ignore_startup_parameters": "options"} if forgets else {}
    with services.pgbouncer(database_url, 1, **settings) as url, make_application(url).app_context():
        assert limits() == LIMITS
        db.session.commit()
        assert limits() == LIMITS, "in the next transaction too"
        db.session.rollback()
        other = create_engine(url.replace("postgres:", "postgresql+psycopg:"))
        with other.connect() as connection:
            shown = connection.scalar(text("SHOW statement_timeout"))
        other.dispose()
        assert shown == "0", "who shares the server's connection does not inherit them"
        db.session.execute(text("SET LOCAL statement_timeout = '200ms'"))
        with pytest.raises(OperationalError, match="statement timeout"):
            db.session.execute(text("SELECT pg_sleep(5)"))
        db.session.rollback()


def test_without_a_pooler_they_cost_no_statement(database_url: str, make_application: Callable[[str], Flask]) -> None:
    with make_application(database_url).app_context():
        assert limits() == LIMITS
        name = next(iter(LIMITS))
        source = "SELECT source FROM pg_settings WHERE name = :name"
        assert db.session.scalar(text(source), {"name": name}) == "client", "with the connection"
        db.session.rollback()


def test_a_statement_is_never_prepared(pooled_url: str, make_application: Callable[[str], Flask]) -> None:
    """psycopg prepares the sixth of the same statements, and PgBouncer gives the seventh to another connection."""
    app = make_application(pooled_url)

    def ask(number: int) -> list[int]:
        with app.app_context():
            found = []
            for _ in range(20):
                found.append(db.session.scalar(text("SELECT CAST(:number AS integer)"), {"number": number}) or 0)
                db.session.rollback()
            return found

    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(ask, range(8))) == [[number] * 20 for number in range(8)]


def test_one_holds_a_lock_and_ends_it(pooled_url: str, make_application: Callable[[str], Flask]) -> None:
    with make_application(pooled_url).app_context():
        mine, theirs = PostgresLock("pooled", 5), PostgresLock("pooled", 5)
        fence = mine.acquire()
        assert fence
        assert theirs.acquire() is None
        time.sleep(1)
        assert mine.renew()
        mine.release()
        higher = theirs.acquire()
        assert higher
        assert higher > fence
        theirs.release()


def test_a_pooler_that_ends_is_a_503_and_comes_back(database_url: str, tmp_path: Path) -> None:
    if not services.pgbouncer_binary():
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    flask(tmp_path, "db", "upgrade", DATABASE_URL=database_url)
    flask(tmp_path, "make-entries", application=ENTRIES, DATABASE_URL=database_url)
    with ExitStack() as servers:
        with services.pgbouncer(database_url, 2) as url:
            server = servers.enter_context(gunicorn(tmp_path, "-w", "2", application=ENTRIES, DATABASE_URL=url))
            assert get(server.port, "/entries/1")[0] == 200
        assert get(server.port, "/entries/1")[0] == 503
        servers.enter_context(services.pgbouncer(database_url, 2, urlsplit(url).port))
        assert [get(server.port, "/entries/1")[0] for _ in range(8)] == [200] * 8
