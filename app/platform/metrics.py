"""What Prometheus reads: requests and latency by route, right under several worker processes.

The server's parent sets PROMETHEUS_MULTIPROC_DIR before this module is imported; each worker then keeps
its numbers in a file there and any worker answers for all. Without it (flask run) one process counts.
"""

import hmac
import os
import re
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from config import Config

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
DURATION = "http_request_duration_seconds"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
_PROXY_HEADERS = frozenset({"HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP"})
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """One histogram; the request counter is its `_count`, so that a request writes once and not twice.

    The label is the route (`/posts/<int:post_id>`), never the path: paths are without number.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._duration = Histogram(
            DURATION, "Time from the request's arrival to the last byte.", ["method", "route", "status"],
            buckets=_BUCKETS, registry=self.registry,
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
        if FOLDER in os.environ:
            every_process = CollectorRegistry()
            MultiProcessCollector(every_process)  # type: ignore[no-untyped-call]
            source = every_process
        else:
            source = self.registry
        requests = CounterMetricFamily("http_requests", "Requests answered.", labels=["method", "route", "status"])
        for metric in source.collect():
            yield metric
            for sample in metric.samples:
                if sample.name == f"{DURATION}_count":
                    labels = [sample.labels[name] for name in ("method", "route", "status")]
                    requests.add_metric(labels, sample.value)
        yield requests

    def exposition(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


class Endpoint:
    """/metrics: for this machine, or for who has METRICS_TOKEN; for others there is nothing here."""

    def __init__(self, metrics: RequestMetrics, settings: Config) -> None:
        self._metrics = metrics
        token = settings.METRICS_TOKEN
        self._authorization = f"Bearer {token.get_secret_value()}".encode() if token else None

    def __call__(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode()
        known = self._authorization is not None and hmac.compare_digest(given, self._authorization)
        if known or is_local(environ):
            return "200 OK", self._metrics.exposition()
        return "404 Not Found", b'{"title":"Not Found","status":404}\n'


def is_local(environ: dict[str, Any]) -> bool:
    """Asked from this machine, and no proxy spoke for somebody else: behind one every visitor comes from loopback."""
    if any(name.startswith("HTTP_X_FORWARDED_") or name in _PROXY_HEADERS for name in environ):
        return False
    # The name too: a page of another site whose name was pointed to 127.0.0.1 runs in a browser on this machine.
    host = re.sub(r":\d+$", "", environ.get("HTTP_HOST", ""))
    return host in _LOCAL_HOSTS and environ.get("REMOTE_ADDR") in {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
