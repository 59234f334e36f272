"""From a clean clone to the first answer, and a second start. Bars: 40 s with a warm package cache; 2 s.

python -m benchmarks.start [--again 5]
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.servers import ROOT
from tests.servers.running import Running, free_port, get

FIRST, SECOND = 40.0, 2.0  # seconds


def seconds_to_first_page(clone: Path, environment: dict[str, str]) -> float:
    port = free_port()
    started = time.monotonic()
    server = Running([clone / "scripts/start.sh", "-p", str(port)], env=environment)
    try:
        while time.monotonic() - started < 180:
            try:
                if get(port, "/")[0] == 200:
                    return time.monotonic() - started
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"no page after 180 s:\n{server.output}")
    finally:
        server.process.terminate()
        server.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", type=int, default=5, help="how many second starts")
    repeats = parser.parse_args().again
    known = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "VIRTUAL_ENV", "PYTHONPATH"}}
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        first = seconds_to_first_page(clone, known)
        again = statistics.median(seconds_to_first_page(clone, known) for _ in range(repeats))
    print(f"clean clone to the first page: {first:.1f} s (bar: {FIRST:.0f} s), one command")
    print(f"second start: {again:.2f} s, median of {repeats} (bar: {SECOND:.0f} s)")
    return 0 if first <= FIRST and again <= SECOND else 1


if __name__ == "__main__":
    raise SystemExit(main())
