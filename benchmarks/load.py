"""A load that counts every outcome: keep-alive and close clients, no retry, the longest silence noted.

On loopback only, bounded in time, and never more than a few dozen clients.
"""

import http.client
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    body: str | None = None
    headers: Mapping[str, str] = {}


@dataclass
class Result:
    answered: int = 0
    methods: Counter[str] = field(default_factory=Counter)  # of what was answered
    failures: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    longest_stall: float = 0.0  # s between two answers that any one client got
    elapsed: float = 0.0

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def per_second(self) -> float:
        return self.answered / self.elapsed if self.elapsed else 0.0

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def __str__(self) -> str:
        reasons = "".join(f", {count} x {reason}" for reason, count in self.failures.items())
        return (
            f"{self.answered} answered ({self.per_second:.0f}/s), {self.failed} failed{reasons}"
            f", median {statistics.median(self.seconds) * 1000:.1f} ms, p99 {self.percentile(99) * 1000:.1f} ms"
            f", longest stall {self.longest_stall:.2f} s"
        )


class Load:
    """`with Load(port, "/", keep_alive=6, close=6) as load: …` and then `load.result`.

    A path means GET. `connection`, given a time-out in seconds, makes a connection to something else than a port here.
    """

    def __init__(
        self,
        port: int,
        *requests: str | Request,
        keep_alive: int = 6,
        close: int = 6,
        think: float = 0.004,
        timeout: float = 15,
        connection: Callable[[float], http.client.HTTPConnection] | None = None,
    ) -> None:
        self.result = Result()
        asked = requests or ("/health",)
        self._requests = [Request("GET", request) if isinstance(request, str) else request for request in asked]
        self._think, self._timeout = think, timeout
        self._connection = connection or (
            lambda timeout: http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        )
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._client, args=(kept,), daemon=True)
            for kept in [True] * keep_alive + [False] * close
        ]

    def __enter__(self) -> "Load":
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timeout + 5)
        self.result.elapsed = time.monotonic() - self._started

    def run_for(self, seconds: float) -> Result:
        with self:
            time.sleep(seconds)
        return self.result

    def run_until(self, answered: int, at_most: float = 60) -> Result:
        """Until so many are answered, however fast the machine is, but no longer than `at_most` seconds."""
        with self:
            end = time.monotonic() + at_most
            while self.result.answered < answered and time.monotonic() < end:
                time.sleep(0.05)
        return self.result

    def _client(self, kept: bool) -> None:
        connection = self._connection(self._timeout)
        last = time.monotonic()
        number = 0
        while not self._stop.is_set():
            method, path, body, headers = self._requests[number % len(self._requests)]
            number += 1
            started = time.monotonic()
            try:
                connection.request(method, path, body, {**headers, **({} if kept else {"Connection": "close"})})
                response = connection.getresponse()
                response.read()
                outcome = "" if response.status < 400 else str(response.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            if not kept:
                connection.close()
            now = time.monotonic()
            with self._lock:
                if outcome:
                    self.result.failures[outcome] += 1
                else:
                    self.result.answered += 1
                    self.result.methods[method] += 1
                    self.result.seconds.append(now - started)
                    self.result.longest_stall = max(self.result.longest_stall, now - last - self._think)
            last = now
            time.sleep(self._think)
        connection.close()
