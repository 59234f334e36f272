"""What Prometheus reads: requests and latency by route, right under several worker processes.

The server's parent sets PROMETHEUS_MULTIPROC_DIR before this module is imported; each worker then keeps
its numbers in files there and any worker answers for all. Without it (flask run) one process counts. What becomes of
the files of workers that have ended: serving/metrics_folder.py.
"""

import contextlib
import hmac
import json
import logging
import os
import re
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from config import Config

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
STARTED = "SERVER_STARTED"  # in the environment of its processes: when, in seconds since 1970
MANIFEST = "merged.json"  # in that folder: which files hold what ended processes have counted, which are in there
DURATION = "http_request_duration_seconds"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
_PROXY_HEADERS = frozenset({"HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP"})
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
COUNTED = CollectorRegistry()  # of the process, where RequestMetrics are of an application
_log = logging.getLogger("groundwork.metrics")

Collector = Callable[[], Iterable[Metric]]  # asked at each scrape, in app.extensions["collectors"]


def counter(name: str, text: str, label: str) -> Counter:
    """`STREAMS = counter("push_streams", "Streams that were opened.", "kind")`, then `STREAMS.labels("sse").inc()`.

    Added up over all processes, and never falls. There is always a label, because a metric without one writes a file as
    soon as it is made: before the server's parent has made the folder.
    """
    return Counter(name, text, [label], registry=COUNTED)


def gauge(name: str, text: str, label: str) -> Gauge:
    """What goes up and down: the sum over the processes that live. Each `inc()` has its `dec()`, or use `set()`."""
    return Gauge(name, text, [label], registry=COUNTED, multiprocess_mode="livesum")


class Watch(Protocol):
    """Told of each request as it begins and ends (extras/gauges); `end` gets what `begin` has returned."""

    def begin(self, environ: dict[str, Any]) -> int: ...

    def end(self, token: int) -> None: ...


class RequestMetrics:
    """One histogram; the request counter is its `_count`, so that a request writes once and not twice.

    The label is the route (`/posts/<int:post_id>`), never the path: paths are without number.
    """

    def __init__(self, collectors: Iterable[Collector] = (), watch: Watch | None = None) -> None:
        self._collectors, self.watch = collectors, watch
        self.registry = CollectorRegistry()
        self._duration = Histogram(
            DURATION, "Time from the request's arrival to the last byte.", ["method", "route", "status"],
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._children: dict[tuple[str, str, str], Histogram] = {}  # labels() costs more than observe()

    def observe(self, method: str, route: str, status: str, seconds: float) -> None:
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            known = method if method in _METHODS else "OTHER"
            child = self._children[key] = self._duration.labels(known, route, status)
            if known != method:
                del self._children[key]  # a client that invents methods must not fill the memory
        child.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        folder = Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else None
        requests = CounterMetricFamily("http_requests", "Requests answered.", labels=["method", "route", "status"])
        for metric in read(folder) if folder else (*self.registry.collect(), *COUNTED.collect()):
            yield metric
            for sample in metric.samples:
                if sample.name == f"{DURATION}_count":
                    labels = [sample.labels[name] for name in ("method", "route", "status")]
                    requests.add_metric(labels, sample.value)
        yield requests
        for collector in self._collectors:
            try:
                yield from list(collector())
            except Exception as error:  # a database that is down: the rest is wanted now more than ever
                _log.warning("metrics: %s fails: %s", collector, str(error).partition("\n")[0])

    def exposition(self) -> bytes:
        """Raises FolderError."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


class FolderError(Exception):
    """The files changed whenever they were read."""


def read(folder: Path) -> Iterable[Metric]:
    """What all processes have counted, living and ended: each once. Raises FolderError.

    Nobody is locked out: when files were merged while they were read, as the manifest shows, they are read again.
    """
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError, PermissionError, struct.error):  # struct: a file was just made
            before = manifest(folder)
            files = [str(file) for file in folder.glob("*.db") if _counts(file.name, before)]
            found = list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]
            if manifest(folder) == before:
                return found
        time.sleep(0.01)
    raise FolderError(folder)


def manifest(folder: Path) -> dict[str, list[str]]:
    """`merged`: the files with what ended processes have counted. `absorbed`: theirs, which are about to be removed."""
    try:
        found: dict[str, list[str]] = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return {"merged": [], "absorbed": []}
    return found


def _counts(name: str, known: dict[str, list[str]]) -> bool:
    return name in known["merged"] if "_merged" in name else name not in known["absorbed"]


class Endpoint:
    """/metrics: for this machine, or for who has METRICS_TOKEN; for others there is nothing here."""

    def __init__(self, metrics: RequestMetrics, settings: Config) -> None:
        self._metrics = metrics
        token = settings.METRICS_TOKEN
        self._authorization = f"Bearer {token.get_secret_value()}".encode() if token else None

    def __call__(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode()
        known = self._authorization is not None and hmac.compare_digest(given, self._authorization)
        if not known and not is_local(environ):
            return "404 Not Found", b'{"title":"Not Found","status":404}\n'
        try:
            return "200 OK", self._metrics.exposition()
        except FolderError:
            return "503 Service Unavailable", b'{"title":"The counts change too fast to be read.","status":503}\n'


def is_local(environ: dict[str, Any]) -> bool:
    """Asked from this machine, and no proxy spoke for somebody else: behind one every visitor comes from loopback."""
    if any(name.startswith("HTTP_X_FORWARDED_") or name in _PROXY_HEADERS for name in environ):
        return False
    # The name too: a page of another site whose name was pointed to 127.0.0.1 runs in a browser on this machine.
    host = re.sub(r":\d+$", "", environ.get("HTTP_HOST", ""))
    return host in _LOCAL_HOSTS and environ.get("REMOTE_ADDR") in {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
