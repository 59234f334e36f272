"""A task every second for 100 ticks, whose process is killed at every 10th: on several machines one after the other.

python -m benchmarks.worker.ticks [--ticks 100]      PostgreSQL, Redis (each machine with its own SQLite), one SQLite,
                                                     and one SQLite with the process that Gunicorn has for jobs
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import servers
from tests.servers import services
from tests.servers.worker.machine import CHORES, Machine, job_processes, machine

BOOT = 10  # seconds
TRACES = "SELECT number, at FROM benchmark_traces WHERE what = 'tick'"


def run(machines: list[Machine], ticks: int, kill: Callable[[int], None]) -> dict[str, object]:
    """`kill` ends the process of the machine with that number, and has it replaced."""
    first = int(time.time()) + 2
    for number in range(first, first + ticks):
        time.sleep(max(0, number - time.time()))
        if (number - first) % 10 == 9:
            kill((number - first) // 10 % len(machines))
    time.sleep(BOOT)
    return figures(machines, range(first, first + ticks))


def figures(machines: list[Machine], wanted: range) -> dict[str, object]:
    """Of what the runs have left in all databases, and not of what the queue says of them."""
    rows = [row for one in {one.url: one for one in machines}.values() for row in one.rows(TRACES)]
    traces = [(int(str(number)), float(str(at))) for number, at in rows if number in wanted]
    runs = Counter(number for number, _ in traces)
    late = [at - number for number, at in traces]
    return {
        "ticks": len(wanted),
        "missing": len(wanted) - len(runs),
        "twice": sum(count > 1 for count in runs.values()),
        "late_median": round(statistics.median(late), 2),
        "late_most": round(max(late), 2),
    }


def on_its_own(machines: list[Machine]) -> Callable[[int], None]:
    workers = [one.start_worker() for one in machines]

    def kill(place: int) -> None:
        os.kill(workers[place].process.pid, signal.SIGKILL)
        workers[place].end()
        workers[place] = machines[place].start_worker(wait=False)

    return kill


def beside_gunicorn(stack: ExitStack, one: Machine) -> Callable[[int], None]:
    settings = {**one.settings, "JOBS": "embedded"}
    server = stack.enter_context(servers.gunicorn(one.instance, "-w", "1", application=f"{CHORES}:app", **settings))
    server.line_with("does jobs")

    def kill(place: int) -> None:
        for pid in job_processes(server):
            os.kill(pid, signal.SIGKILL)

    return kill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=100)
    parser.add_argument("stores", nargs="*", default=["postgresql", "redis", "sqlite", "embedded"])
    options = parser.parse_args()
    for store in options.stores:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="groundwork-ticks-")))
            settings: dict[str, object] = {"TICKING": 1}
            if store == "postgresql":
                settings["DATABASE_URL"] = stack.enter_context(services.postgres())
            elif store == "redis":
                settings["REDIS_URL"] = stack.enter_context(services.redis())
            count = 1 if store in {"sqlite", "embedded"} else 3
            machines = [stack.enter_context(machine(folder / str(number), **settings)) for number in range(count)]
            kill = beside_gunicorn(stack, machines[0]) if store == "embedded" else on_its_own(machines)
            print(f"{store}, {count} machines: {run(machines, options.ticks, kill)}", flush=True)


if __name__ == "__main__":
    main()
