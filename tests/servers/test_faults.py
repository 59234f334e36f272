"""The database goes away and comes back: what visitors see meanwhile, and that nobody has to restart anything."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.servers import WORK, flask, gunicorn
from benchmarks.visitor import Visitor
from benchmarks.writers import ENTRIES, Writers
from tests.servers import services
from tests.servers.running import Running, get, wait_until

DOWN = 10  # seconds
BACK = 2.0  # seconds from the database's return to the first good answer
STALLED = 5.0  # seconds after which a page says that the database does not answer


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Postgres]:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres_server() as postgres:
        folder = tmp_path_factory.mktemp("migrated")
        flask(folder, "db", "upgrade", DATABASE_URL=postgres.url)
        flask(folder, "make-entries", application=ENTRIES, DATABASE_URL=postgres.url)
        yield postgres


@pytest.fixture(scope="module")
def server(postgres: services.Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"DATABASE_URL": postgres.url, "LOG_LEVEL": "WARNING"}
    with gunicorn(tmp_path_factory.mktemp("instance"), "-w", "2", application=ENTRIES, **settings) as server:
        wait_until(lambda: len(server.children()) == 2, 10)
        yield server


class Watch:
    """Asks one path again and again; `answers` are (moment, status, seconds it took)."""

    def __init__(self, port: int, path: str) -> None:
        self.answers: list[tuple[float, int, float]] = []
        self._port, self._path = port, path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _ask(self) -> None:
        while not self._stop.wait(0.02):
            asked = time.monotonic()
            status = get(self._port, self._path)[0]
            self.answers.append((time.monotonic(), status, time.monotonic() - asked))

    def statuses(self, after: float = 0, before: float = float("inf")) -> set[int]:
        """Of the requests that began and ended within these moments."""
        return {status for moment, status, took in self.answers if after < moment - took and moment < before}


def test_while_the_database_is_stopped_there_are_clear_503s_and_afterwards_none(
    server: Running, postgres: services.Postgres
) -> None:
    processes = server.children()
    with (
        Watch(server.port, "/entries/1") as pages,
        Watch(server.port, "/health") as health,
        Writers(server.port) as writers,
    ):
        time.sleep(1)
        stopped = time.monotonic()
        postgres.stop()
        down = time.monotonic()
        time.sleep(DOWN)
        seen = get(server.port, "/entries/1"), get(server.port, "/ready")
        up = time.monotonic()
        postgres.start()
        back = time.monotonic()
        time.sleep(3)
    (status, headers, page), (ready_status, _, ready) = seen
    assert (status, headers["retry-after"]) == (503, "5")
    assert headers["content-type"].startswith("text/html")
    assert "The database does not answer right now." in page
    assert (ready_status, json.loads(ready)["problems"]) == (503, ["database: does not answer"])
    assert pages.statuses(before=stopped) == {200}
    assert pages.statuses(after=down, before=up) == {503}
    first = min(moment for moment, status, _ in pages.answers if status == 200 and moment > up)
    assert first - back < BACK
    assert pages.statuses(after=back + BACK) == {200}
    assert health.statuses() == {200}
    assert set(writers.outcomes) == {"200", "503"}
    assert server.children() == processes, "no worker was replaced"


def test_programs_get_the_same_as_problem_json(server: Running, postgres: services.Postgres) -> None:
    postgres.stop()
    try:
        status, headers, body = get(server.port, "/entries/1", accept="application/json")
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert json.loads(body)["detail"].startswith("The database does not answer")
    finally:
        postgres.start()


def test_a_server_that_starts_before_its_database_serves_as_soon_as_that_is_there(
    postgres: services.Postgres, tmp_path: Path
) -> None:
    postgres.stop()
    try:
        settings = {"DATABASE_URL": postgres.url, "LOG_LEVEL": "WARNING"}
        with gunicorn(tmp_path, "-w", "2", application=ENTRIES, ready="/health", **settings) as server:
            assert get(server.port, "/ready")[0] == 503
            assert get(server.port, "/entries/1")[0] == 503
            wait_until(lambda: len(server.children()) == 2, 10)
            processes = server.children()
            postgres.start()
            wait_until(lambda: get(server.port, "/ready")[0] == 200, BACK)
            assert get(server.port, "/entries/1")[0] == 200
            assert server.children() == processes
    finally:
        if postgres.server.process.poll() is not None:
            postgres.start()


@pytest.mark.alone
def test_a_database_that_stalls_is_a_503_within_seconds_and_pages_without_it_are_served(
    server: Running, postgres: services.Postgres
) -> None:
    with ThreadPoolExecutor(8) as visitors:
        list(visitors.map(lambda _: get(server.port, "/entries/1"), range(32)))  # connections in both workers' pools
        for pid in postgres.processes():
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            waiting = [visitors.submit(lambda: (get(server.port, "/entries/1")[0], time.monotonic())) for _ in range(6)]
            other = [get(server.port, "/health")[0] for _ in range(20)]
            assert time.monotonic() - began < 1
            answers = [visitor.result() for visitor in waiting]
        finally:
            for pid in postgres.processes():
                os.kill(pid, signal.SIGCONT)
    assert set(other) == {200}
    assert {status for status, _ in answers} == {503}
    assert max(moment for _, moment in answers) - began < STALLED
    wait_until(lambda: get(server.port, "/entries/1")[0] == 200, BACK)


@pytest.mark.alone
@pytest.mark.parametrize(("seconds", "status"), [(3, 303), (7, 503)])
def test_writes_wait_for_a_lock_of_sqlite_and_not_for_ever_and_pages_do_not_wait(
    instance: Path, seconds: int, status: int
) -> None:
    with (
        gunicorn(instance, "-w", "2", application=WORK, LOG_LEVEL="WARNING") as server,
        ThreadPoolExecutor(3) as others,
        Visitor(server.port, "/counters/1") as visitor,
        closing(sqlite3.connect(instance / "app.db", isolation_level=None)) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        waiting = others.submit(lambda: (visitor.send("/counters/1")[0], time.monotonic() - began))
        while time.monotonic() - began < seconds:
            asked = time.monotonic()
            assert get(server.port, "/counters/")[0] == 200
            assert time.monotonic() - asked < 1
            time.sleep(0.2)
        holder.execute("ROLLBACK")
        answered, waited = waiting.result()
    assert answered == status
    assert waited > min(seconds, 5) - 0.5
