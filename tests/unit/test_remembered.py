"""What is computed once for all workers: never twice at the same moment, and never read when it is out of date."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from app.extensions import cache
from app.platform import cache as cache_module
from app.platform.cache import COMPUTING, forget, remembered

VISITORS = 200


class Clock:
    """Time that passes when the test says so; who waits, really waits."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)


class Counted:
    """Something that takes a moment to compute: its value is how often that was done."""

    def __init__(self, takes: float = 0) -> None:
        self.calls = 0
        self._takes = takes
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.calls += 1
            number = self.calls
        time.sleep(self._takes)
        return number


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cache_module, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def together(app: Flask) -> Iterator[Callable[[int, Callable[[], Any]], list[Any]]]:
    """`together(200, work)`: what `work` returns in each of 200 threads that began at the same moment."""
    pools: list[ThreadPoolExecutor] = []

    def run(count: int, work: Callable[[], Any]) -> list[Any]:
        barrier = threading.Barrier(count)

        def visit() -> Any:
            with app.app_context():
                barrier.wait(30)
                return work()

        pool = ThreadPoolExecutor(count)
        pools.append(pool)
        return [visitor.result(30) for visitor in [pool.submit(visit) for _ in range(count)]]

    yield run
    for pool in pools:
        pool.shutdown()


class Slow:
    """Something that another worker is computing right now, until the test lets it end."""

    def __init__(self, app: Flask, value: Any, fault: Exception | None = None) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()
        self._value, self._fault, self.read = value, fault, None
        self._thread = threading.Thread(target=self._run, args=(app,))

    def __enter__(self) -> "Slow":
        self._thread.start()
        assert self._begun.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._go_on.set()
        self._thread.join(10)

    def _run(self, app: Flask) -> None:
        with app.app_context():
            try:
                self.read = remembered("page", 60, self._compute)
            except Exception as fault:
                assert fault is self._fault  # noqa: PT017 - of the other worker, not of the test

    def _compute(self) -> Any:
        self._begun.set()
        assert self._go_on.wait(10)
        if self._fault:
            raise self._fault
        return self._value


@pytest.mark.parametrize("value", [0, "", [], False, {"a": [1]}])
def test_a_value_is_computed_once(value: Any) -> None:
    calls: list[int] = []
    compute = lambda: calls.append(1) or value  # noqa: E731
    assert [remembered("page", 60, compute) for _ in range(3)] == [value] * 3
    assert len(calls) == 1


def test_nothing_is_not_remembered() -> None:
    calls: list[int] = []
    assert [remembered("page", 60, lambda: calls.append(1)) for _ in range(2)] == [None, None]
    assert len(calls) == 2


def test_keys_are_remembered_apart() -> None:
    assert [remembered(key, 60, lambda key=key: key) for key in ("a", "b", "a")] == ["a", "b", "a"]


@pytest.mark.parametrize(("after", "value"), [(59, 1), (61, 2), (121, 2)])
def test_a_value_expires(after: float, value: int, clock: Clock) -> None:
    compute = Counted()
    remembered("page", 60, compute)
    clock.now += after
    assert remembered("page", 60, compute) == value


def test_after_forget_it_is_computed_anew() -> None:
    compute = Counted()
    values = []
    for _ in range(3):
        values += [remembered("page", 60, compute), remembered("page", 60, compute)]
        forget("page")
    assert values == [1, 1, 2, 2, 3, 3]


def test_forgetting_one_keeps_the_others() -> None:
    compute = Counted()
    remembered("page", 60, compute)
    forget("other")
    assert remembered("page", 60, compute) == 1


# --- several at once ------------------------------------------------------------------------------


def test_two_hundred_visitors_of_a_cold_key_compute_at_most_twice(together: Callable[..., list[Any]]) -> None:
    compute = Counted(takes=0.1)
    answers = together(VISITORS, lambda: remembered("page", 60, compute))
    assert compute.calls <= 2
    assert set(answers) <= {1, 2}


def test_two_hundred_visitors_of_an_expired_key_compute_at_most_twice(
    together: Callable[..., list[Any]], clock: Clock
) -> None:
    compute = Counted(takes=0.1)
    remembered("page", 60, compute)
    compute.calls = 0
    clock.now += 61
    together(VISITORS, lambda: remembered("page", 60, compute))
    assert 1 <= compute.calls <= 2


def test_while_one_computes_the_others_read_the_value_from_before(app: Flask, clock: Clock) -> None:
    remembered("page", 60, lambda: "old")
    clock.now += 61
    with Slow(app, "new") as worker:
        assert remembered("page", 60, lambda: pytest.fail("it is being computed")) == "old"
        worker.end()
        assert remembered("page", 60, lambda: pytest.fail("it has been computed")) == "new"


def test_what_nobody_has_read_before_is_waited_for(app: Flask) -> None:
    with Slow(app, "new") as worker:
        threading.Timer(0.1, worker.end).start()
        assert remembered("page", 60, lambda: pytest.fail("it is being computed")) == "new"


def test_who_fails_to_compute_frees_the_others(app: Flask) -> None:
    with Slow(app, None, ValueError("no page today")) as worker:
        threading.Timer(0.1, worker.end).start()
        started = time.monotonic()
        assert remembered("page", 60, lambda: "computed here") == "computed here"
        assert time.monotonic() - started < 2


def test_the_fault_is_raised_and_the_next_one_computes() -> None:
    def fail() -> None:
        raise ValueError("no page today")

    with pytest.raises(ValueError, match="no page today"):
        remembered("page", 60, fail)
    assert remembered("page", 60, lambda: "computed") == "computed"


def test_nobody_waits_for_ever_for_a_worker_that_was_killed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
    started = clock.now
    cache.add("page:None:computing", True, timeout=3600)  # its lock is still there
    assert remembered("page", 60, lambda: "computed") == "computed"
    assert clock.now - started == pytest.approx(COMPUTING, abs=0.1)


def test_what_was_computed_before_forget_is_never_read_after_it(app: Flask) -> None:
    with Slow(app, "from before the change") as worker:
        forget("page")
        assert remembered("page", 60, lambda: "new") == "new"
        worker.end()
        assert remembered("page", 60, lambda: pytest.fail("it is remembered")) == "new"
        assert worker.read == "from before the change", "who had asked before"


# --- a store that fails ---------------------------------------------------------------------------


def test_without_a_store_each_computes_and_nobody_waits(
    app: Flask, together: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = cache.cache
    monkeypatch.setattr(type(store), "_execute", lambda *_: None)
    compute, started = Counted(takes=0.1), time.monotonic()
    answers = together(20, lambda: remembered("page", 60, compute))
    assert sorted(answers) == list(range(1, 21))
    assert time.monotonic() - started < 2
