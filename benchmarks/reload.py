"""Reloads the server with scripts/reload.sh while clients fire at it. Bar: 0 failed, longest stall below 0.5 s.

python -m benchmarks.reload [--reloads 10] [--requests 10000]
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.load import Load
from benchmarks.servers import ROOT, environment
from tests.servers.running import free_port

STALL = 0.5  # seconds


def script(name: str, instance: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "scripts" / name), *options],
        env=environment(instance),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=10)
    parser.add_argument("--requests", type=int, default=10_000, help="go on until there were so many")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        instance, port = Path(folder), free_port()
        started = script("start.sh", instance, "-d", "-p", str(port))
        if started.returncode:
            print(started.stderr)
            return 2
        try:
            with Load(port, "/", "/about", "/health", "/ready") as load:
                time.sleep(1)
                for number in range(arguments.reloads):
                    reload = script("reload.sh", instance)
                    if reload.returncode:
                        print(reload.stderr)
                        return 2
                    print(f"reload {number + 1}: {load.result.answered} requests so far, {load.result.failed} failed")
                deadline = time.monotonic() + 120
                while load.result.answered < arguments.requests and time.monotonic() < deadline:
                    time.sleep(0.2)
        finally:
            script("stop.sh", instance)
    print(f"{arguments.reloads} reloads: {load.result} (bar: 0 failed, stall < {STALL} s)")
    return 0 if not load.result.failed and load.result.longest_stall < STALL else 1


if __name__ == "__main__":
    raise SystemExit(main())
