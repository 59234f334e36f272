"""How long requests wait for a free thread of their worker: the first sign of too few, also where no proxy tells.

Counted by the servers whose threads are known here, Gunicorn's gthread and Waitress. Most requests do not wait, and
cost two looks at the clock; a histogram of all would cost each 2 µs.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from app.platform.metrics import counter

SHORT = 0.001  # seconds; less is no wait

_WAITS = counter("thread_waits", "Requests that waited more than 1 ms for a free thread.", "server")
_SECONDS = counter("thread_wait_seconds", "Time that those have waited.", "server")


def note(server: str, since: float) -> None:
    """`since`: when the request was given to the threads, as time.perf_counter() says."""
    waited = time.perf_counter() - since
    if waited > SHORT:
        _WAITS.labels(server).inc()
        _SECONDS.labels(server).inc(waited)


@dataclass
class _Waiting:
    """What Waitress' threads take from their queue, around a connection with a request."""

    connection: Any
    since: float = field(default_factory=time.perf_counter)

    def service(self) -> None:
        note("waitress", self.since)
        self.connection.service()

    def cancel(self) -> None:
        self.connection.cancel()


def note_those_of(waitress: Any) -> None:
    waitress.add_task = lambda connection: waitress.task_dispatcher.add_task(_Waiting(connection))
