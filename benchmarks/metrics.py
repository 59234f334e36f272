"""Do the counts of /metrics equal the requests that were sent, over reloads and killed workers under load?

Bar: no more off than requests were in flight at the kills, which their clients know nothing of either. Also how long a
scrape takes, and what METRICS_PORT costs.

    python -m benchmarks.metrics [--rounds 5]
"""

import argparse
import contextlib
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load import Load, Result
from benchmarks.reload import script
from benchmarks.servers import flask, running
from tests.servers.running import Running, free_port, get, is_alive, wait_until

CLIENTS = 6  # of each kind: so many requests are at most in flight at a kill
ABOUT = re.compile(r'^http_requests_total\{method="GET",route="/about",status="200"\} (\S+)$', re.MULTILINE)


def counted(port: int) -> int:
    found = ABOUT.search(get(port, "/metrics")[2])
    return int(float(found[1])) if found else 0


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


def is_beside(pid: int) -> bool:
    with contextlib.suppress(OSError):  # it has just ended
        return "serving.metrics_port" in Path(f"/proc/{pid}/cmdline").read_text()
    return False


def workers(parent: int) -> list[int]:
    return [pid for pid in children(parent) if is_alive(pid) and not is_beside(pid)]


def kill_one(parent: int, port: int, count: int) -> None:
    """Of `count` workers. Returns when another has taken its place, and the port answers."""
    wait_until(lambda: len(workers(parent)) == count, 40, lambda: f"workers {workers(parent)}, not {count}")
    victim = workers(parent)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in workers(parent) and len(workers(parent)) == count and _answers(port), 40)


def judge(name: str, port: int, result: Result, kills: int) -> bool:
    time.sleep(1)  # a request is counted after its last byte
    off = counted(port) - result.answered
    allowed = kills * 2 * CLIENTS
    print(f"{name}: {result.answered} answered, {result.failed} cut off by kills, counted {off:+d} (bar: ±{allowed})")
    return -allowed <= off <= result.failed


def gunicorn(rounds: int, instance: Path) -> bool:
    port = free_port()
    started = script("start.sh", instance, "-d", "-p", str(port), "-w", "2")
    if started.returncode:
        raise SystemExit(started.stderr)
    pid_file = instance / "run" / f"{port}.gunicorn.pid"
    try:
        with Load(port, "/about", keep_alive=CLIENTS, close=CLIENTS) as load:
            for _ in range(rounds):
                time.sleep(0.5)
                if (reload := script("reload.sh", instance)).returncode:
                    raise SystemExit(reload.stderr)
                kill_one(int(pid_file.read_text()), port, 2)
            time.sleep(0.5)
        good = judge(f"Gunicorn, {rounds} reloads and {rounds} killed workers", port, load.result, rounds)
        seconds = []
        for _ in range(20):
            begun = time.perf_counter()
            get(port, "/metrics")
            seconds.append(time.perf_counter() - begun)
        print(f"a scrape takes {statistics.median(seconds) * 1000:.1f} ms")
    finally:
        script("stop.sh", instance)
    return good


def waitress(rounds: int, instance: Path) -> bool:
    port, beside = free_port(), free_port()
    settings = {"PORT": port, "HOST": "127.0.0.1", "WORKERS": 3, "METRICS_PORT": beside}
    command = [sys.executable, "wsgi.py", "--prepared"]
    with running(command, instance, port, "/ready", **settings) as server:
        wait_until(lambda: _answers(beside), 30)
        print(f"METRICS_PORT costs {_memory_of_beside(server)} MiB (its process, proportional set size)")
        with Load(port, "/about", keep_alive=CLIENTS, close=CLIENTS) as load:
            for _ in range(rounds):
                time.sleep(1)
                kill_one(server.process.pid, port, 3)
            time.sleep(1)
        return judge(f"Waitress, {rounds} killed processes", port, load.result, rounds)


def _answers(port: int) -> bool:
    try:
        return get(port, "/metrics")[0] == 200
    except OSError:
        return False


def _memory_of_beside(server: Running) -> int:
    for pid in children(server.process.pid):
        if is_beside(pid):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            return int(found[1]) // 1024 if found else 0
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        good = [waitress(rounds, instance), gunicorn(rounds, instance)]
    print(f"the counts are {'true' if all(good) else 'WRONG'}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
