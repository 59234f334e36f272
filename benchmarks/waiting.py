"""64 clients on a page that waits 50 ms, on a default start with 2 workers. Bar: at least 450 requests/s.

2 workers x 16 threads can do 640; what is missing is connections that gather on one of the workers.

    python -m benchmarks.waiting [--seconds 6]
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.load import Load
from benchmarks.servers import flask, gunicorn

BAR = 450  # requests/s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        with gunicorn(instance, "-w", "2", LOG_LEVEL="WARNING") as server:
            result = Load(server.port, "/wait/50", keep_alive=64, close=0, think=0).run_for(arguments.seconds)
    print(f"64 clients on a 50 ms wait: {result} (bar: {BAR}/s)")
    return 0 if result.per_second >= BAR and not result.failed else 1


if __name__ == "__main__":
    raise SystemExit(main())
