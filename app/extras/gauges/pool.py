"""The database's pool of connections: how many are in use, who had to wait for one, and who got none."""

import functools
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from app.platform.metrics import counter, gauge

IN_USE = gauge("database_pool_connections", "Connections that are in use; overflow: those beyond the pool.", "use")
WAITS = counter("database_pool_waits", "Requests for a connection when all were in use.", "outcome")
SECONDS = counter("database_pool_wait_seconds", "Time that was waited for a connection.", "outcome")


@functools.cache
def in_use(use: str) -> Gauge:
    """Kept, because labels() costs more than inc(); not made before it is used, as that makes a file."""
    return IN_USE.labels(use)


# SQLAlchemy names a pool's logger after its class, and tells each step at INFO: its own are quiet by default.
logging.getLogger(__name__).setLevel(logging.WARNING)


class _Thread(threading.local):
    waits = False


_this_thread = _Thread()


class CountingPool(QueuePool):
    """Each connection that is taken comes back here, also a broken one: SQLAlchemy's events do not tell of all."""

    _counting = threading.Lock()  # of all pools: while a copy is made by recreate(), both count

    @functools.cached_property
    def _taken(self) -> set[ConnectionPoolEntry]:
        return set()

    def _do_get(self) -> ConnectionPoolEntry:
        # QueuePool's calls itself, and so this, when another thread was faster: each wait and connection counts once.
        waits_anew = self._is_exhausted() and not _this_thread.waits
        entry = self._wait_for_one() if waits_anew else super()._do_get()
        with self._counting:
            if entry in self._taken:
                return entry
            self._taken.add(entry)
            beyond = len(self._taken) > self.size()
        in_use("any").inc()
        if beyond:
            in_use("overflow").inc()
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        with self._counting:
            beyond = len(self._taken) > self.size()
            self._taken.discard(record)
        in_use("any").dec()
        if beyond:
            in_use("overflow").dec()
        super()._do_return_conn(record)

    def _is_exhausted(self) -> bool:
        """Also while the last ones are still being opened."""
        return 0 <= self._max_overflow <= self.checkedout() - self.size()

    def _wait_for_one(self) -> ConnectionPoolEntry:
        started, outcome = time.perf_counter(), "served"
        _this_thread.waits = True
        try:
            return super()._do_get()
        except PoolTimeout:
            outcome = "timeout"
            raise
        finally:
            _this_thread.waits = False
            WAITS.labels(outcome).inc()
            SECONDS.labels(outcome).inc(time.perf_counter() - started)


def count(engine: Engine) -> None:
    if type(engine.pool) is QueuePool:  # an SQLite in memory has no such thing
        # In place, and also of those that it makes from itself after a fork.
        engine.pool.__class__ = CountingPool
        event.listen(engine, "connect", _begin_at_zero)


def _begin_at_zero(*_: Any) -> None:
    WAITS.labels("timeout")  # from none to 1 is nothing that an alert would see


def size(engine: Engine) -> Iterable[Metric]:
    pool: Any = engine.pool
    if isinstance(pool, CountingPool):
        most = pool.size() + pool._max_overflow
        yield GaugeMetricFamily("database_pool_size", "Connections that each process may have open.", value=most)
