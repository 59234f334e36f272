"""Requests in flight, and how long a request was on its way from the proxy: noted as each one begins and ends.

In each process a page of bytes, one for each request that it handles, which whoever answers a scrape can read. A gauge
of the client's takes a lock each time and costs 2 µs for a request; here each has its byte to itself, for 0.3.
"""

import contextlib
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client import Histogram

from app.platform.metrics import BUCKETS, COUNTED, FOLDER

SLOTS = 1024  # requests that one process counts at the same time; Gunicorn's worker_connections is 1000
PAGE = "inflight_"  # begins a page's name, its process' number ends it

_QUEUED = Histogram(
    "http_request_queue_seconds", "Time from the proxy to the start of the handling.", ["source"],
    buckets=BUCKETS, registry=COUNTED,
)  # fmt: skip


class InFlight:
    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self.page: bytearray | mmap.mmap = bytearray()
        self._free: deque[int] = deque()
        self._opening = threading.Lock()

    def begin(self, environ: dict[str, Any]) -> int:
        try:
            slot = self._free.pop()
        except IndexError:
            slot = self._first()
        self.page[slot] = 1
        return slot

    def end(self, slot: int) -> None:
        try:  # not suppress(), which costs as much as all the rest
            self.page[slot] = 0
            self._free.append(slot)
        except IndexError:
            pass  # the request has forked, and this is the child

    def _first(self) -> int:
        with self._opening:
            if not self.page:
                self.page = _shared_page()
                self._free.extend(range(1, SLOTS))
        try:
            return self._free.pop()
        except IndexError:  # there are more: they share one
            return 0


def _shared_page() -> bytearray | mmap.mmap:
    if folder := os.environ.get(FOLDER):
        # Written in full: a mapped page that finds no room on a full disk would kill the process.
        with contextlib.suppress(OSError), open(Path(folder, f"{PAGE}{os.getpid()}"), "w+b") as file:
            file.write(bytes(SLOTS))
            file.flush()
            return mmap.mmap(file.fileno(), SLOTS)
    return bytearray(SLOTS)


_of_this_process = InFlight()


def pages() -> Iterable[bytes]:
    """Of all processes that have handled a request and live."""
    if not (folder := os.environ.get(FOLDER)):
        yield bytes(_of_this_process.page)
        return
    for file in Path(folder).glob(f"{PAGE}*"):
        with contextlib.suppress(OSError):  # its process has just ended
            yield file.read_bytes()


class Watch:
    """What the gateway tells of requests. `behind_proxy`: somebody who is trusted says when a request arrived."""

    def __init__(self, behind_proxy: bool) -> None:
        self.begin = _begin_behind_proxy if behind_proxy else _of_this_process.begin
        self.end = _of_this_process.end


def _begin_behind_proxy(environ: dict[str, Any]) -> int:
    if sent := environ.get("HTTP_X_REQUEST_START"):
        _note_queue(sent)
    return _of_this_process.begin(environ)


def _note_queue(sent: str) -> None:
    """nginx writes t=<seconds>.<milliseconds>, Apache t=<microseconds>, others plain milliseconds."""
    with contextlib.suppress(ValueError):
        value = float(sent.removeprefix("t="))
        waited = time.time() - value / (1e6 if value > 1e14 else 1e3 if value > 1e11 else 1)
        if -60 < waited < 3600:  # clocks of two machines differ a little; beyond that it is none
            _QUEUED.labels("proxy").observe(max(waited, 0.0))
