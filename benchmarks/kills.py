"""Ends a worker of Gunicorn with SIGKILL, as the kernel does when memory is short, while clients read through nginx.

Bars: at most 1 request lost for each kill, and a new worker answers within 2 s.

    python -m benchmarks.kills [--kills 10]                   as root, with nginx installed
"""

import argparse
import os
import shutil
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import Load, Result
from tests.deploy.edge import edge
from tests.deploy.nginx.servers import SocketConnection, gunicorn
from tests.servers.running import Running, wait_until

LOST, BACK = 1.0, 2.0  # requests for each kill; seconds
BETWEEN = 1.0  # seconds


class Kills(NamedTuple):
    result: Result
    back: list[float]  # seconds from each kill to the first answer of the new worker

    @property
    def lost_for_each(self) -> float:
        return self.result.failed / len(self.back)


def kill_workers(count: int) -> Kills:
    folder = Path(tempfile.mkdtemp(prefix="gw-"))
    (folder / "run").mkdir()
    back = []
    try:
        with (
            gunicorn(folder, folder / "run/web.sock", application="wsgi:app") as server,
            edge(folder, folder / "run") as site,
            Load(site.https, "/about", "/", connection=site.connection) as load,
        ):
            for _ in range(count):
                time.sleep(BETWEEN)
                back.append(kill_one(server, folder / "run/web.sock"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Kills(load.result, back)


def kill_one(server: Running, bound: Path) -> float:
    """The seconds until its successor has answered a request."""
    before = server.children()
    os.kill(before[-1], signal.SIGKILL)
    killed = time.monotonic()
    (successor,) = wait_until(lambda: set(server.children()) - set(before), 10, lambda: server.output[-2000:])
    # nginx goes on with the connections that it has, to the other worker: new ones find the new worker.
    wait_until(lambda: _answers(server, bound, successor), 10)
    return time.monotonic() - killed


def _answers(server: Running, bound: Path, pid: int) -> bool:
    connection = SocketConnection(bound)
    connection.request("GET", "/about")
    connection.getresponse().read()
    connection.close()
    return any('"access"' in line and f'"pid":{pid}}}' in line for line in server.lines[-50:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    kills = kill_workers(parser.parse_args().kills)
    print(f"{len(kills.back)} kills: {kills.result}")
    print(f"lost for each kill: {kills.lost_for_each:.1f} (bar: {LOST:.0f})")
    median, slowest = statistics.median(kills.back), max(kills.back)
    print(f"a new worker answers after {median:.2f} s, at most {slowest:.2f} s (bar: {BACK:.0f} s)")
    return 0 if kills.lost_for_each <= LOST and slowest < BACK else 1


if __name__ == "__main__":
    raise SystemExit(main())
