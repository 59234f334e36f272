"""What is published reaches each page once and in order: over two workers, on each server, by each way."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import flask, gunicorn, waitress
from tests.servers.push.listening import Page, publish, publishing
from tests.servers.running import Running, get, wait_until

# simple_websocket's client leaves its socket open where the server refuses.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@contextlib.contextmanager
def pages(port: int, *ways: str) -> Iterator[list[Page]]:
    opened = [Page(port, way) for way in ways]
    try:
        yield opened
    finally:
        for page in opened:
            page.close()


def all_are_open(opened: list[Page], times: int = 1) -> None:
    wait_until(lambda: all(len(page.opened) >= times for page in opened), 20)


def each_has(opened: list[Page], count: int, seconds: float = 30) -> None:
    """Once, and in order."""
    wait_until(
        lambda: all(len(page.numbers) >= count for page in opened), seconds, lambda: str([p.numbers for p in opened])
    )
    time.sleep(0.5)  # so that what comes twice has come
    assert [page.numbers for page in opened] == [list(range(count))] * len(opened)
    assert not any(page.lost for page in opened)


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_all_pages_of_all_workers_get_each_event_once(instance: Path, worker: str) -> None:
    with (
        gunicorn(instance, "-k", worker, "-w", "2") as server,
        pages(server.port, *["websocket", "stream"] * 3, "asking") as opened,
    ):
        all_are_open(opened[:6])
        publish(instance, 200)
        each_has(opened, 200)


def test_pages_get_the_events_through_redis(instance: Path, redis_url: str) -> None:
    with (
        gunicorn(instance, "-w", "2", REDIS_URL=redis_url) as server,
        pages(server.port, "websocket", "stream", "asking") as opened,
    ):
        all_are_open(opened[:2])
        publish(instance, 200, REDIS_URL=redis_url)
        each_has(opened, 200)


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_events_of_transactions_that_overtake_each_other_are_not_passed_by(
    instance: Path, database_url: str, worker: str
) -> None:
    """On PostgreSQL a transaction may take a lower number and commit later than another."""
    flask(instance, "db", "upgrade", DATABASE_URL=database_url)
    with (
        gunicorn(instance, "-k", worker, "-w", "2", DATABASE_URL=database_url) as server,
        pages(server.port, "websocket", "stream", "asking") as opened,
    ):
        all_are_open(opened[:2])
        many = [publishing(instance, 100, first=100 * number, DATABASE_URL=database_url) for number in range(4)]
        assert [process.wait(60) for process in many] == [0] * 4
        wait_until(lambda: all(len(page.numbers) >= 400 for page in opened), 20)
        assert all(sorted(page.numbers) == list(range(400)) for page in opened)
        assert opened[0].numbers == opened[1].numbers == opened[2].numbers


def test_waitress_streams_to_half_of_its_threads_and_the_rest_asks(instance: Path) -> None:
    with waitress(instance, 1) as server, pages(server.port, *["websocket"] * 10) as opened:
        wait_until(lambda: sum(bool(page.opened) for page in opened) == 8, 20)
        publish(instance, 50)
        each_has(opened, 50)
        assert sum(bool(page.opened) for page in opened) == 8
        assert get(server.port, "/health")[0] == 200


def test_above_the_cap_other_requests_are_answered_as_before(instance: Path) -> None:
    with gunicorn(instance, "-w", "1", THREADS=4) as server, pages(server.port, *["websocket"] * 6) as opened:
        wait_until(lambda: sum(bool(page.opened) for page in opened) == 2, 20)
        publish(instance, 20)
        each_has(opened, 20)
        answer = get(server.port, "/events?channel=a")
        assert (answer[0], answer[1]["retry-after"], answer[2]) == (204, "30", "")
        assert get(server.port, "/ready")[0] == 200


def test_the_sync_worker_keeps_nothing_open_and_pages_ask(instance: Path) -> None:
    with gunicorn(instance, "-k", "sync", "-w", "2") as server, pages(server.port, "websocket", "stream") as opened:
        publish(instance, 20)
        each_has(opened, 20)
        assert not any(page.opened for page in opened)


def stop(server: Running) -> float:
    """Returns how long it took."""
    told = time.monotonic()
    server.process.terminate()
    assert server.end(40) == 0
    return time.monotonic() - told


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_streams_delay_a_stop_by_a_second(instance: Path, worker: str) -> None:
    with gunicorn(instance, "-k", worker, "-w", "2") as server:
        without = stop(server)
    with (
        gunicorn(instance, "-k", worker, "-w", "2") as server,
        pages(server.port, *["websocket", "stream"] * 4) as opened,
    ):
        all_are_open(opened)
        told = time.monotonic()
        assert stop(server) < without + 2.5  # 1 on a quiet machine
        wait_until(lambda: all(page.ended for page in opened), 5)
        assert sorted(page.ended[0] - told for page in opened)[len(opened) // 2] < without + 1.5


def test_streams_delay_a_stop_of_waitress_by_a_second(instance: Path) -> None:
    with waitress(instance, 1) as server:
        without = stop(server)
    with waitress(instance, 1) as server, pages(server.port, "stream", "stream") as opened:
        all_are_open(opened)
        assert stop(server) < without + 2.5


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_pages_come_back_after_a_hand_over_and_miss_nothing(instance: Path, worker: str) -> None:
    with (
        gunicorn(instance, "-k", worker, "-w", "2", "--pid", str(instance / "pid")) as server,
        pages(server.port, *["websocket", "stream"] * 4) as opened,
    ):
        all_are_open(opened)
        publisher = publishing(instance, 400, pause=0.02)
        time.sleep(1)
        os.kill(server.process.pid, signal.SIGUSR2)
        successor = int(wait_until(lambda: _text(instance / "pid.2"), 20))
        try:
            time.sleep(1)
            server.process.terminate()
            assert server.end(30) == 0
            assert publisher.wait(60) == 0
            all_are_open(opened, times=2)
            each_has(opened, 400)
            away = sorted(page.opened[1] - page.ended[0] for page in opened)
            assert away[len(away) // 2] < 10  # 3 on a quiet machine
        finally:
            os.kill(successor, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{successor}").exists(), 20)


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def test_a_page_that_leaves_makes_room_at_once(instance: Path) -> None:
    with gunicorn(instance, "-w", "1", THREADS=2) as server:
        for _ in range(3):
            with pages(server.port, "websocket") as opened:
                all_are_open(opened)
            wait_until(lambda: json.loads(get(server.port, "/events/since?channel=a")[2])["by"] == "websocket", 10)


@pytest.mark.parametrize("pause", [60, 1], ids=["quiet", "busy"])
def test_a_websocket_outlives_the_silence_of_a_client_who_has_nothing_to_say(instance: Path, pause: int) -> None:
    """Gunicorn's listener gives each connection 15 s (serving/gthread.py), and a page that is not there any more 40."""
    with gunicorn(instance, "-w", "1") as server, pages(server.port, "websocket") as opened:
        all_are_open(opened)
        publisher = publishing(instance, 44 // pause, pause=pause)
        time.sleep(44)
        assert publisher.wait(20) == 0
        publish(instance, 3, first=44 // pause)
        each_has(opened, 44 // pause + 3)
        assert not opened[0].ended
