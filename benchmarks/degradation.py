"""What a Redis that fails costs the visitors: it stops, hangs, is emptied, or takes no writes, under load.

Bars: no answer 5xx; after the first second the median page is less than 5 ms slower than with Redis.

    python -m benchmarks.degradation [--fault hung] [--worker-class gevent]
"""

import argparse
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import Load
from benchmarks.servers import flask, gunicorn
from tests.servers.running import Running
from tests.servers.services import Redis, redis_server

CACHED = "benchmarks.cached:app"
PAGES = ("/about", *(f"/remembered/{number}" for number in range(4)), "/counted", "/")
ADDED = 0.005  # seconds
WINDOW = 2.0  # seconds
WINDOWS = 4  # the quietest counts: other work on the machine is no fault of Redis

FAULTS: dict[str, Callable[[Redis], object]] = {
    "down": lambda redis: redis.stop(),
    "hung": lambda redis: os.kill(redis.server.process.pid, signal.SIGSTOP),
    "emptied": lambda redis: redis.command("FLUSHALL"),
    "read-only": lambda redis: redis.command("REPLICAOF", "127.0.0.1", "9"),
    "without a replica": lambda redis: redis.command("CONFIG", "SET", "min-replicas-to-write", "1"),
    "full": lambda redis: redis.command("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction"),
}


class Outcome(NamedTuple):
    before: float  # seconds, the median of the quietest window
    after: float
    first_second: float  # the slowest answer when it failed
    answered: int
    failures: Counter[str]

    @property
    def added(self) -> float:
        return self.after - self.before


def measure(fault: str, worker_class: str = "gthread") -> Outcome:
    instance = Path(tempfile.mkdtemp(prefix="groundwork-degradation-"))
    try:
        with redis_server() as redis:
            settings = {"REDIS_URL": redis.url, "WORKER_CLASS": worker_class, "LOG_LEVEL": "WARNING"}
            flask(instance, "db", "upgrade", application=CACHED)
            with gunicorn(instance, "-w", "2", application=CACHED, **settings) as server:
                return _measured(server, lambda: FAULTS[fault](redis))
    finally:
        shutil.rmtree(instance, ignore_errors=True)


def _measured(server: Running, fail: Callable[[], object]) -> Outcome:
    failures: Counter[str] = Counter()
    answered = 0

    def load(seconds: float) -> list[float]:
        nonlocal answered
        result = Load(server.port, *PAGES, keep_alive=4, close=2, think=0.02).run_for(seconds)
        failures.update(result.failures)
        answered += result.answered
        return result.seconds

    load(WINDOW)  # warm
    before = min(statistics.median(load(WINDOW)) for _ in range(WINDOWS))
    with Load(server.port, *PAGES, keep_alive=4, close=2, think=0.02) as failing:
        time.sleep(0.3)
        fail()
        time.sleep(1)
    failures.update(failing.result.failures)
    after = min(statistics.median(load(WINDOW)) for _ in range(WINDOWS))
    return Outcome(before, after, max(failing.result.seconds), answered + failing.result.answered, failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--worker-class", default="gthread")
    options = parser.parse_args()
    missed = 0
    for fault in options.fault or FAULTS:
        outcome = measure(fault, options.worker_class)
        good = not outcome.failures and outcome.added < ADDED
        missed += not good
        print(
            f"{fault:18} {outcome.answered} answers, failures {dict(outcome.failures)}; median "
            f"{outcome.before * 1000:.1f} -> {outcome.after * 1000:.1f} ms, slowest when it failed "
            f"{outcome.first_second:.2f} s {'' if good else '  MISSED'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
