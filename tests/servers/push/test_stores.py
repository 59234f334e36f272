"""Redis and PostgreSQL fail while pages are open: nobody waits for them, and all hear again when they are back."""

import contextlib
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.platform.redis_cache import BREAK
from benchmarks.servers import ROOT, environment, flask, gunicorn
from tests.servers import services
from tests.servers.push.listening import publish
from tests.servers.push.test_delivery import all_are_open, each_has, pages
from tests.servers.running import get, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
UNITS = """
import threading
from wsgi import app
from app.extensions import db
from app.extras.events.models import StoredEvent
from app.platform.database import write_unit
from app.platform.events import publish

has_the_row = threading.Event()

def first():
    with app.app_context(), write_unit():
        db.session.get(StoredEvent, 1).created += 1
        has_the_row.wait(10)
        publish("a", {"n": 1})
    print("first")

with app.app_context():
    publish("a", {"n": 0})
other = threading.Thread(target=first)
with app.app_context(), write_unit():
    other.start()
    db.session.get(StoredEvent, 1).created += 1
    db.session.flush()
    has_the_row.set()
    other.join(0.5)  # it commits meanwhile
    publish("a", {"n": 2})
print("second")
other.join()
"""


@pytest.fixture
def redis() -> Iterator[services.Redis]:
    if not services.shutil.which("redis-server"):
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    with services.redis_server() as redis:
        yield redis


@pytest.fixture(scope="module")
def postgres() -> Iterator[services.Postgres]:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres_server() as postgres:
        yield postgres


def test_nobody_waits_for_a_redis_that_hangs_and_pages_hear_again(instance: Path, redis: services.Redis) -> None:
    with (
        gunicorn(instance, "-w", "1", REDIS_URL=redis.url) as server,
        pages(server.port, "websocket", "stream", "asking") as opened,
    ):
        all_are_open(opened[:2])
        os.kill(redis.server.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: get(server.port, "/events/since?channel=a")[0] == 503, 10)
            taken = []
            for _ in range(9):
                began = time.monotonic()
                assert get(server.port, "/events/since?channel=a&age=1")[0] == 503
                taken.append(time.monotonic() - began)
            assert statistics.median(taken) < 0.5, "its time-out is 1 s"
        finally:
            os.kill(redis.server.process.pid, signal.SIGCONT)
        wait_until(lambda: get(server.port, "/events/since?channel=a")[0] == 200, BREAK + 10)
        publish(instance, 20, REDIS_URL=redis.url)
        each_has(opened, 20)
        assert not opened[0].ended


def test_pages_are_told_that_redis_has_forgotten_and_hear_again(instance: Path, redis: services.Redis) -> None:
    with (
        gunicorn(instance, "-w", "1", REDIS_URL=redis.url) as server,
        pages(server.port, "websocket", "stream", "asking") as opened,
    ):
        all_are_open(opened[:2])
        publish(instance, 5, REDIS_URL=redis.url)
        each_has(opened, 5)
        redis.command("FLUSHALL")
        wait_until(lambda: all(page.lost for page in opened), 20)
        publish(instance, 5, first=5, REDIS_URL=redis.url)
        wait_until(lambda: all(page.numbers == list(range(10)) for page in opened), 20)


def test_what_another_program_writes_into_the_stream_is_passed_by(instance: Path, redis: services.Redis) -> None:
    with gunicorn(instance, "-w", "1", REDIS_URL=redis.url) as server, pages(server.port, "stream", "asking") as opened:
        all_are_open(opened[:1])
        redis.command("XADD", "groundwork:events", "*", "foreign", "1")
        publish(instance, 5, REDIS_URL=redis.url)
        each_has(opened, 5)


def test_pages_go_on_with_a_database_of_an_older_state(instance: Path) -> None:
    """As `flask restore` brings it, while they are open."""
    with gunicorn(instance, "-w", "1") as server, pages(server.port, "websocket", "stream", "asking") as opened:
        all_are_open(opened[:2])
        publish(instance, 5)
        each_has(opened, 5)
        with contextlib.closing(sqlite3.connect(instance / "app.db")) as database, database:
            database.execute("DELETE FROM events WHERE id > 2")
            database.execute("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'events'")
        wait_until(lambda: all(page.lost for page in opened), 20)
        publish(instance, 5, first=5)
        wait_until(lambda: all(page.numbers == list(range(10)) for page in opened), 20)


def test_pages_hear_again_when_postgresql_is_back(instance: Path, postgres: services.Postgres) -> None:
    settings = {"DATABASE_URL": postgres.url}
    flask(instance, "db", "upgrade", **settings)
    with (
        gunicorn(instance, "-w", "1", **settings) as server,
        pages(server.port, "websocket", "stream", "asking") as opened,
    ):
        all_are_open(opened[:2])
        postgres.stop()
        time.sleep(3)
        assert get(server.port, "/health")[0] == 200
        postgres.start()
        publish(instance, 20, **settings)
        each_has(opened, 20)


def test_units_that_publish_and_change_the_same_row_wait_in_turn(instance: Path, postgres: services.Postgres) -> None:
    settings = {"DATABASE_URL": postgres.url}
    flask(instance, "db", "upgrade", **settings)
    done = subprocess.run(
        [sys.executable, "-c", UNITS],
        cwd=ROOT,
        env=environment(instance, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["second", "first"]), done.stderr
