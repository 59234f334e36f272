"""Redis fails under load, in six ways: pages are answered as quickly as before, and limits go on counting."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.platform.redis_cache import BREAK
from benchmarks.degradation import ADDED, CACHED, FAULTS, measure
from benchmarks.servers import gunicorn
from tests.servers import services
from tests.servers.running import Running, get, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="Redis is missing (Debian: redis-server)")


@pytest.mark.alone
@pytest.mark.parametrize("fault", FAULTS)
def test_without_redis_pages_are_answered_and_as_quickly_as_before(fault: str) -> None:
    outcome = measure(fault)
    assert not outcome.failures
    assert outcome.answered > 500
    assert outcome.added < ADDED, outcome


@pytest.mark.alone
def test_the_same_under_gevent() -> None:
    outcome = measure("hung", "gevent")
    assert not outcome.failures
    assert outcome.added < ADDED, outcome


@pytest.fixture
def redis() -> Iterator[services.Redis]:
    with services.redis_server() as redis:
        yield redis


@pytest.fixture
def server(redis: services.Redis, instance: Path) -> Iterator[Running]:
    with gunicorn(instance, "-w", "2", application=CACHED, REDIS_URL=redis.url) as server:
        wait_until(lambda: len(server.children()) == 2, 10)
        yield server


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "emptied"])
def test_a_limit_goes_on_counting_in_the_database(fault: str, redis: services.Redis, server: Running) -> None:
    FAULTS[fault](redis)
    assert sorted(get(server.port, "/few")[0] for _ in range(12)) == [200] * 5 + [429] * 7


def test_what_is_computed_stays_right_without_redis(redis: services.Redis, server: Running) -> None:
    redis.stop()
    texts = {get(server.port, "/remembered/1")[2] for _ in range(6)}
    assert len(texts) == 6, "computed each time, and never an old one"


def test_the_cache_is_back_soon_after_redis(redis: services.Redis, server: Running) -> None:
    os.kill(redis.server.process.pid, signal.SIGSTOP)
    assert get(server.port, "/counted")[2] == "None"
    os.kill(redis.server.process.pid, signal.SIGCONT)

    def all_workers_count() -> bool:
        return all(get(server.port, "/counted")[2] != "None" for _ in range(20))

    wait_until(all_workers_count, BREAK + 5)
    redis.stop()
    assert get(server.port, "/counted")[2] == "None"
    redis.start()
    wait_until(all_workers_count, BREAK + 5)
