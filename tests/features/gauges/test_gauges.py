"""What is going on now: requests in flight, the way from the proxy, the database's connections, and what runs."""

import re
import threading
import time
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util.queue import Empty

from app.extensions import db
from app.extras.gauges import requests
from app.extras.gauges.requests import SLOTS, InFlight
from app.platform.version import version


@pytest.fixture(autouse=True)
def _nobody_is_in_flight() -> None:
    """Of other tests: many do not close their answers, as a server does."""
    requests._of_this_process._forget()


def value(app: Flask, line: str) -> float:
    """Of the sample that begins so; 0 where it is not there."""
    text = app.test_client().get("/metrics").text
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


def test_a_request_is_in_flight_until_its_last_byte_is_sent(app: Flask) -> None:
    seen: list[float] = []

    def stream() -> object:
        seen.append(value(app, "http_requests_in_flight"))
        return iter(["one", "two"])

    app.add_url_rule("/stream", "stream", stream)
    before = value(app, "http_requests_in_flight")
    answer = app.test_client().get("/stream")
    assert seen == [before + 1], "and the scrape itself is none"
    assert value(app, "http_requests_in_flight") == before + 1
    answer.close()
    assert value(app, "http_requests_in_flight") == before


def test_refused_requests_do_not_stay_in_flight(client: FlaskClient) -> None:
    before = value(client.application, "http_requests_in_flight")
    client.get("/", headers={"Host": "bad host"}, buffered=True)
    client.get("/nothing-here", buffered=True)
    assert value(client.application, "http_requests_in_flight") == before


def test_more_requests_than_there_is_room_to_count_are_answered_all_the_same() -> None:
    counted = InFlight()
    slots = [counted.begin({}) for _ in range(SLOTS + 10)]
    assert bytes(counted.page).count(1) == SLOTS
    for slot in slots:
        counted.end(slot)
    assert bytes(counted.page).count(1) == 0


def test_threads_that_come_and_go_leave_nothing_behind() -> None:
    counted = InFlight()

    def handle() -> None:
        for _ in range(3000):
            counted.end(counted.begin({}))

    threads = [threading.Thread(target=handle) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bytes(counted.page).count(1) == 0


def now() -> float:
    return time.time()


QUEUED = 'http_request_queue_seconds_count{source="proxy"}'


@pytest.mark.parametrize(
    ("hops", "sent", "counted"),
    [
        (1, lambda: f"t={now() - 2:.3f}", True),  # nginx
        (1, lambda: f"t={(now() - 2) * 1e6:.0f}", True),  # Apache
        (1, lambda: f"{(now() - 2) * 1e3:.0f}", True),  # a router that writes milliseconds
        (1, lambda: f"t={now() + 1:.3f}", True),  # a clock that is a little ahead
        (0, lambda: f"t={now() - 2:.3f}", False),  # anybody may have written it
        (1, lambda: "t=soon", False),
        (1, lambda: "t=nan", False),
        (1, lambda: "t=17", False),
        (1, lambda: "", False),
    ],
)
def test_the_time_since_the_proxy_counts_where_a_proxy_is_trusted(
    hops: int, sent: Callable[[], str], counted: bool, make_app: Callable[..., Flask]
) -> None:
    app = make_app(TRUSTED_PROXIES=hops)
    count, seconds = value(app, QUEUED), value(app, QUEUED.replace("_count", "_sum"))
    assert app.test_client().get("/about", headers={"X-Request-Start": sent()}).status_code == 200
    assert value(app, QUEUED) - count == counted
    waited = value(app, QUEUED.replace("_count", "_sum")) - seconds
    assert 0 <= waited < 60


@pytest.fixture
def small(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application with one connection in the pool, and one beyond it."""
    monkeypatch.setattr("app.platform.database.SPARE_CONNECTIONS", 1)
    monkeypatch.setattr("app.platform.database.POOL_TIMEOUT", 1)
    return make_app(THREADS=1, JOBS="off")  # which asks the database at each scrape


ANY, OVERFLOW = 'database_pool_connections{use="any"}', 'database_pool_connections{use="overflow"}'


def test_connections_in_use_are_counted_and_given_back(small: Flask) -> None:
    with small.app_context():
        assert value(small, "database_pool_size") == 2
        before = value(small, ANY), value(small, OVERFLOW)
        with db.engine.connect(), db.engine.connect() as second:
            assert (value(small, ANY), value(small, OVERFLOW)) == (before[0] + 2, before[1] + 1)
            second.invalidate()  # as a connection that broke
        assert (value(small, ANY), value(small, OVERFLOW)) == before
        with db.engine.connect() as detached:
            detached.detach()
            assert value(small, ANY) == before[0]


def test_who_waits_for_a_connection_is_counted_and_who_gets_none(small: Flask) -> None:
    served, refused = 'database_pool_waits_total{outcome="served"}', 'database_pool_waits_total{outcome="timeout"}'
    with small.app_context():
        counts = value(small, served), value(small, refused)
        first, second = db.engine.connect(), db.engine.connect()
        with pytest.raises(PoolTimeout):
            db.engine.connect()
        assert (value(small, served), value(small, refused)) == (counts[0], counts[1] + 1)
        threading.Timer(0.05, first.close).start()
        db.engine.connect().close()
        second.close()
        assert (value(small, served), value(small, refused)) == (counts[0] + 1, counts[1] + 1)
        assert value(small, 'database_pool_wait_seconds_total{outcome="timeout"}') >= 1


def test_a_connection_for_which_another_thread_was_faster_at_first_is_counted_once(
    small: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.app_context():
        db.engine.dispose()
        before = value(small, ANY), value(small, OVERFLOW)
        increase, answers = db.engine.pool._inc_overflow, iter([False])
        monkeypatch.setattr(db.engine.pool, "_inc_overflow", lambda: next(answers, True) and increase())
        with db.engine.connect():
            assert next(answers, None) is None, "it was asked twice"
            assert (value(small, ANY), value(small, OVERFLOW)) == (before[0] + 1, before[1])
        assert (value(small, ANY), value(small, OVERFLOW)) == before


def test_who_waits_while_the_last_connections_are_still_being_opened_is_counted(small: Flask) -> None:
    served, refused = 'database_pool_waits_total{outcome="served"}', 'database_pool_waits_total{outcome="timeout"}'
    may_open, opening = threading.Event(), threading.Semaphore(0)

    def open_slowly(*_: object) -> None:
        opening.release()
        may_open.wait(20)

    with small.app_context():
        db.engine.dispose()
        engine = db.engine
        counts = value(small, served), value(small, refused)
        event.listen(engine, "do_connect", open_slowly)
        threads = [threading.Thread(target=lambda: engine.connect().close()) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            assert all(opening.acquire(timeout=20) for _ in threads)
            with pytest.raises(PoolTimeout):
                engine.connect()
        finally:
            may_open.set()
            for thread in threads:
                thread.join()
            event.remove(engine, "do_connect", open_slowly)
        assert (value(small, served), value(small, refused)) == (counts[0], counts[1] + 1)


def test_a_wait_in_which_another_thread_was_faster_is_counted_once(
    small: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.app_context():
        first, second = db.engine.connect(), db.engine.connect()
        pool, waits = db.engine.pool, 'database_pool_waits_total{outcome="timeout"}'
        before = value(small, waits)
        monkeypatch.setattr(pool, "_max_overflow", pool._max_overflow)

        def lose(block: bool, timeout: float) -> None:
            pool._max_overflow += 1  # room, as it seems after the wait: somebody's connection broke
            raise Empty

        def too_late() -> bool:
            pool._max_overflow -= 1
            monkeypatch.undo()
            return False

        monkeypatch.setattr(pool._pool, "get", lose)
        monkeypatch.setattr(pool, "_inc_overflow", too_late)
        with pytest.raises(PoolTimeout):
            db.engine.connect()
        assert value(small, waits) == before + 1
        first.close()
        second.close()


def test_what_runs_is_told(app: Flask) -> None:
    text = app.test_client().get("/metrics").text
    assert f'version="{version()}"' in text
    assert 0 < time.time() - value(app, "server_start_time_seconds") < 86_400


def test_a_site_in_maintenance_says_so_also_where_only_scrapes_come(app: Flask) -> None:
    if not (live := app.extensions.get("live_settings")):
        pytest.skip("without live settings there is no maintenance")
    assert "\nmaintenance 0.0\n" in app.test_client().get("/metrics").text
    live.path.write_text("[maintenance]\non = true\n")
    live.next_look = 0
    time.sleep(0.1)  # a file so young is left to the next look
    assert "\nmaintenance 1.0\n" in app.test_client().get("/metrics").text
