"""The cache in Redis: when Redis fails, pages are slower by one time-out and nothing else."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.extensions import cache
from app.platform.errors import AppError
from app.platform.limits import Limit
from app.platform.locks import lock
from app.platform.redis_cache import BREAK, SafeRedisCache

MISSES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("get", ("a",), None),
    ("get_many", ("a", "b"), [None, None]),
    ("has", ("a",), False),
    ("set", ("a", 1), False),
    ("set_many", ({"a": 1},), []),
    ("add", ("a", 1), False),
    ("delete", ("a",), False),
    ("delete_many", ("a",), []),
    ("unlink", ("a",), 0),
    ("clear", (), False),
    ("inc", ("a",), None),
    ("dec", ("a",), None),
]


@pytest.fixture
def port() -> int:
    """A port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def app(make_app: Callable[..., Flask], port: int) -> Iterator[Flask]:
    app = make_app(REDIS_URL=f"redis://127.0.0.1:{port}/0")
    with app.app_context():
        yield app
    backend = app.extensions["cache"][cache]
    for client in {backend._write_client, backend._read_client}:
        client.close()


@pytest.fixture
def store(app: Flask) -> SafeRedisCache:
    store = app.extensions["cache"][cache]
    assert isinstance(store, SafeRedisCache)
    return store


@pytest.mark.parametrize(("operation", "arguments", "miss"), MISSES, ids=[name for name, _, _ in MISSES])
def test_without_redis_every_operation_is_a_miss(
    operation: str, arguments: tuple[Any, ...], miss: Any, store: SafeRedisCache
) -> None:
    started = time.monotonic()
    assert getattr(store, operation)(*arguments) == miss
    assert time.monotonic() - started < 1, "one short time-out, not redis-py's own retries"


def test_only_the_first_operation_costs_anything(store: SafeRedisCache, caplog: pytest.LogCaptureFixture) -> None:
    store.get("a")
    started = time.monotonic()
    for _ in range(100):
        store.get("a")
        store.set("a", 1)
    assert time.monotonic() - started < 0.1
    assert len([record for record in caplog.records if "Redis failed" in record.message]) == 1


def test_a_redis_that_hangs_costs_one_time_out(store: SafeRedisCache, port: int) -> None:
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", port))
        silent.listen()
        started = time.monotonic()
        assert store.get("a") is None
        assert time.monotonic() - started < 1
        started = time.monotonic()
        assert store.get("a") is None
        assert time.monotonic() - started < 0.1


def test_a_page_that_caches_works_without_redis(app: Flask) -> None:
    app.add_url_rule("/cached", "cached", cache.cached(timeout=10)(lambda: "made"))
    assert app.test_client().get("/cached").text == "made"


@pytest.fixture
def start_redis(port: int, tmp_path: Path) -> Iterator[Callable[[], None]]:
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("redis-server is not installed")
    servers: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail("redis-server did not start")

    yield start
    for server in servers:
        server.terminate()
        server.wait(10)


def test_when_redis_comes_back_the_cache_works_again(
    store: SafeRedisCache, start_redis: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.get("a") is None
    start_redis()
    assert not store.set("a", 1), "it is left alone for a while"
    now = time.monotonic()
    monkeypatch.setattr("app.platform.redis_cache.time.monotonic", lambda: now + BREAK + 1)
    assert store.set("a", {"value": 1})
    assert store.get("a") == {"value": 1}
    assert not store.add("a", 2)
    assert [store.inc("hits"), store.dec("hits", 2)] == [1, -1]
    assert store.get_many("a", "gone") == [{"value": 1}, None]
    assert store.delete("a")
    store._write_client.set("groundwork:a", b"!cgone_module\nGone\n.")
    assert store.get("a") is None, "written by another release"
    assert store.clear()


def test_two_applications_on_one_redis_do_not_meet(
    make_app: Callable[..., Flask], port: int, start_redis: Callable[[], None]
) -> None:
    start_redis()
    limit, granted = Limit("log-in", 1, 60), []
    for name in ("Shop", "Shop Two"):
        app = make_app(REDIS_URL=f"redis://127.0.0.1:{port}/0", APP_NAME=name)
        with app.app_context():
            assert cache.get("greeting") is None
            assert cache.set("greeting", name)
            granted.append(lock("update").acquire())
            limit.take("ada")
            with pytest.raises(AppError):
                limit.take("ada")
    assert granted == [1, 1], "each has its own lock"


def test_of_many_threads_one_waits_for_a_redis_that_still_hangs(
    store: SafeRedisCache, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent, ThreadPoolExecutor(16) as threads:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", port))
        silent.listen()
        assert store.get("a") is None
        monkeypatch.setattr("app.platform.redis_cache.BREAK", 0.01)
        breaker = store.guarded.__self__  # type: ignore[attr-defined]
        breaker._broken_until = 0.0  # the break is over

        def waited(_: int) -> float:
            started = time.monotonic()
            assert store.get("a") is None
            return time.monotonic() - started

        breaker._probe.acquire()  # one asks at this moment
        assert max(threads.map(waited, range(16))) < 0.2
        breaker._probe.release()
        assert waited(0) > 0.2
