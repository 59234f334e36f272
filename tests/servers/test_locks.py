"""One holder at a time in all three stores, whatever becomes of it: real processes, real servers."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.platform.locks import FileLock, Lock, PostgresLock, RedisLock, lock
from benchmarks.servers import ROOT
from config import TestingConfig
from tests.servers.running import Running, wait_until

LEASE = 2.0  # seconds
HOLD = f"""
import sys, time
from app import create_app
from app.platform.locks import lock
from config import TestingConfig
instance, database, redis, seconds = sys.argv[1:]
app = create_app(TestingConfig(INSTANCE_PATH=instance, DATABASE_URL=database, REDIS_URL=redis or None))
with app.app_context():
    mine = lock("work", {LEASE})
    until = time.monotonic() + float(seconds)
    while (fence := mine.acquire()) is None:
        time.sleep(0.01)
    print("holds", fence, flush=True)
    while time.monotonic() < until and (kept := mine.renew()):
        time.sleep(0.1)
    print("kept" if kept else "lost", flush=True)
    mine.release()
"""
# What an overlap of two would show: a number that is read, and written a moment later.
COUNT = """
import pathlib, sys, time
from app import create_app
from app.platform.locks import lock
from config import TestingConfig
instance, database, redis, _ = sys.argv[1:]
app = create_app(TestingConfig(INSTANCE_PATH=instance, DATABASE_URL=database, REDIS_URL=redis or None))
counter = pathlib.Path(instance, "counter")
with app.app_context():
    mine = lock("count")
    for _ in range(15):
        while (fence := mine.acquire()) is None:
            time.sleep(0.005)
        number = int(counter.read_text())
        time.sleep(0.005)
        counter.write_text(str(number + 1))
        with open(pathlib.Path(instance, "fences"), "a") as fences:
            fences.write(f"{fence}\\n")
        mine.release()
"""


class Store:
    """Where the lock is, for this process and for others."""

    def __init__(self, kind: str, folder: Path, database: str = "sqlite:///app.db", redis: str = "") -> None:
        self.kind, self._arguments = kind, [str(folder), database, redis]
        self.app: Flask = create_app(
            TestingConfig(INSTANCE_PATH=folder, DATABASE_URL=database, REDIS_URL=redis or None)
        )

    def process(self, code: str, seconds: float = 60) -> Running:
        return Running([sys.executable, "-c", code, *self._arguments, str(seconds)], cwd=ROOT)

    def lock(self, name: str = "work", lease: float = LEASE) -> Lock:
        with self.app.app_context():
            return lock(name, lease)


@pytest.fixture(params=["file", "postgresql", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "postgresql":
        return Store("postgresql", tmp_path, database=request.getfixturevalue("database_url"))
    if request.param == "redis":
        return Store("redis", tmp_path, redis=request.getfixturevalue("redis_url"))
    return Store("file", tmp_path)


@contextlib.contextmanager
def holder(store: Store, seconds: float = 60) -> Iterator[Running]:
    process = store.process(HOLD, seconds)
    try:
        process.line_with("holds")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.process.pid, signal.SIGCONT)
        process.kill()


def acquired(mine: Lock) -> Callable[[], int | None]:
    return lambda: mine.acquire()


def test_the_store_is_the_one_that_all_machines_share(store: Store) -> None:
    kinds = {"file": FileLock, "postgresql": PostgresLock, "redis": RedisLock}
    assert isinstance(store.lock(), kinds[store.kind])


def test_one_holds_it_and_the_next_has_a_higher_number(store: Store) -> None:
    first, second = store.lock(), store.lock()
    one = first.acquire()
    assert one
    assert second.acquire() is None
    another = store.lock("another")
    assert another.acquire()
    another.release()
    first.release()
    assert first.renew() is False
    two = second.acquire()
    assert two
    assert two > one
    assert first.acquire() is None
    second.release()


def test_who_holds_it_and_asks_again_is_told_the_same(store: Store) -> None:
    mine, other = store.lock(), store.lock()
    fence = mine.acquire()
    assert fence is not None
    assert mine.acquire() == fence
    assert other.acquire() is None
    mine.release()
    later = other.acquire()
    assert later is not None
    assert later > fence
    other.release()


def test_processes_that_count_under_it_lose_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [store.process(COUNT) for _ in range(4)]
    assert [process.end(100) for process in processes] == [0] * 4, processes[0].output
    assert (tmp_path / "counter").read_text() == "60"
    fences = [int(line) for line in (tmp_path / "fences").read_text().splitlines()]
    assert fences == sorted(set(fences))


def test_who_renews_keeps_it_longer_than_its_lease(store: Store) -> None:
    mine = store.lock()
    with holder(store, seconds=LEASE * 2) as process:
        time.sleep(LEASE * 1.5)
        assert mine.acquire() is None
        process.line_with("kept", 10)
        assert wait_until(acquired(mine), 20)
    mine.release()


@pytest.mark.alone
def test_a_killed_holder_gives_it_back(store: Store) -> None:
    mine = store.lock()
    with holder(store) as process:
        os.kill(process.process.pid, signal.SIGKILL)
        killed = time.monotonic()
        assert wait_until(acquired(mine), 10)
        at_once = store.kind != "redis"  # which sees no death, but the end of the lease
        assert time.monotonic() - killed < (1 if at_once else LEASE + 1)
    mine.release()


@pytest.mark.parametrize("store", ["postgresql", "redis"], indirect=True)  # a file's machine is this one
def test_a_machine_that_hangs_loses_it_and_is_told(store: Store) -> None:
    mine = store.lock()
    with holder(store) as process:
        os.kill(process.process.pid, signal.SIGSTOP)
        assert wait_until(acquired(mine), LEASE + 5)
        os.kill(process.process.pid, signal.SIGCONT)
        wait_until(lambda: mine.renew() and process.process.poll() is not None, 20, lambda: process.output)
        assert process.end() == 0
        assert process.lines[-1] == "lost"
        assert store.lock().acquire() is None, "who lost it has not taken it away"
    mine.release()


def test_while_its_store_does_not_answer_nobody_gets_it(tmp_path: Path) -> None:
    nobody = Store("redis", tmp_path, redis="redis://127.0.0.1:1/0").lock()
    assert nobody.acquire() is None
    assert nobody.renew() is False
    nobody.release()
    nobody = Store("postgresql", tmp_path, database="postgresql+psycopg://nobody@127.0.0.1:1/nothing").lock()
    assert nobody.acquire() is None
    assert nobody.renew() is False
    nobody.release()
