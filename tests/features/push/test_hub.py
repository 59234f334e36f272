"""Who has a place among the subscribers of a process, and how it ends, whatever their store does."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.extras.events.bus import Event, News, Number
from app.extras.push.hub import WAITING, Hub


class Bus:
    """Gives what is put into `news`, one piece after the other, and then hangs."""

    errors = (OperationalError,)

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.hangs, self.goes_on = threading.Event(), threading.Event()

    def latest(self) -> Number:
        return Number(5)

    def wait_after(self, number: Number) -> None:
        self.hangs.set()
        self.goes_on.wait(60)

    def news(self, number: Number, channels: Sequence[str] | None = None) -> News:
        if not self.pieces:
            return News([], number, lost=False, more=False)
        if isinstance(piece := self.pieces.pop(0), Exception):
            raise piece
        return piece


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.goes_on.set()


@pytest.fixture
def server() -> dict[str, Any]:
    """What one says in serving.begin()."""
    return {"streams": 1, "is_leaving": lambda: False}


@pytest.fixture
def hub(bus: Bus, server: dict[str, Any]) -> Hub:
    return Hub(bus, server)


def soon(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def events(*numbers: int, lost: bool = False, more: bool = False) -> News:
    found = [Event(Number(number), "a", "{}") for number in numbers]
    return News(found, found[-1].number, lost, more)


def test_a_stop_ends_streams_while_their_store_hangs(hub: Hub, server: dict[str, Any]) -> None:
    subscriber = hub.subscribe(["a"], {})
    assert subscriber
    server["is_leaving"] = lambda: True
    assert soon(lambda: subscriber.is_over)
    assert subscriber.take(5) == []


def test_an_answer_that_is_never_begun_leaves_its_place(hub: Hub) -> None:
    subscriber = hub.subscribe(["a"], {})
    assert hub.subscribe(["a"], {}) is None
    del subscriber
    assert hub.subscribe(["a"], {})


def test_there_is_no_place_while_the_store_does_not_answer(hub: Hub, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Number:
        raise OperationalError("", {}, Exception())

    monkeypatch.setattr(bus, "latest", fail)
    assert hub.subscribe(["a"], {}) is None
    monkeypatch.undo()
    assert hub.subscribe(["a"], {})


@pytest.mark.parametrize("error", [OperationalError("", {}, Exception()), KeyError("foreign")])
def test_an_error_of_the_reader_ends_no_stream(hub: Hub, bus: Bus, error: Exception) -> None:
    subscriber = hub.subscribe(["a"], {})
    assert subscriber
    assert [list(news.events) for news in subscriber.catch_up(Number(5))] == [[]]
    bus.pieces += [error, events(6)]
    bus.goes_on.set()
    assert [event.number for event in subscriber.take(10)] == [Number(6)]


def test_a_page_that_catches_up_is_never_ahead_of_what_it_was_told(hub: Hub, bus: Bus) -> None:
    """It would go on from there when its connection breaks, and miss the rest."""
    subscriber = hub.subscribe(["a"], {})
    assert subscriber
    assert bus.hangs.wait(10)  # its reader
    hub.position = Number(9)
    bus.pieces += [events(1, 2, more=True), events(3)]
    told = [(news.events[-1].number, subscriber.position()) for news in subscriber.catch_up(Number(0))]
    assert told == [(Number(2), Number(2)), (Number(3), Number(9))]


def test_all_come_back_when_the_store_may_have_lost_something(hub: Hub, bus: Bus) -> None:
    subscriber = hub.subscribe(["a"], {})
    assert subscriber
    bus.pieces += [events(1, lost=True)]
    bus.goes_on.set()
    assert soon(lambda: subscriber.is_over)


class Connection:
    """A socket as far as it is used."""

    is_shut = False

    def shutdown(self, how: int) -> None:
        self.is_shut = True


def test_a_page_that_leaves_too_much_waiting_is_cut_off(hub: Hub) -> None:
    connection = Connection()
    subscriber = hub.subscribe(["a"], {"gunicorn.socket": connection})
    assert subscriber
    for number in range(WAITING):
        subscriber.offer(Event(Number(number), "a", "{}"))
    assert not connection.is_shut
    subscriber.offer(Event(Number(WAITING), "a", "{}"))
    assert connection.is_shut
    assert subscriber.is_over
