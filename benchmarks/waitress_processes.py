"""Waitress with 2 processes against 1, on a page that computes for 10 ms. Bar on 2 cores: at least 1.7 times.

Interleaved rounds, medians of the ratio, so that a noisy machine is noisy for both. The kernel spreads connections by
chance, so there are 32 clients: with 8 one process often had two of them, and idled while those waited to ask again.

    python -m benchmarks.waitress_processes [--rounds 5]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.load import Load
from benchmarks.servers import flask, waitress
from tests.servers.running import wait_until

BAR = 1.7
CLIENTS = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        quiet = {"LOG_LEVEL": "WARNING"}
        with waitress(instance, 1, **quiet) as one, waitress(instance, 2, **quiet) as two:
            wait_until(lambda: len(two.children()) == 2, 20)
            for number in range(arguments.rounds):
                slow = Load(one.port, "/compute/10", keep_alive=CLIENTS, close=0, think=0).run_for(3)
                fast = Load(two.port, "/compute/10", keep_alive=CLIENTS, close=0, think=0).run_for(3)
                ratios.append(fast.per_second / slow.per_second)
                print(f"round {number + 1}: 1 process {slow.per_second:.0f}/s, 2 processes {fast.per_second:.0f}/s")
                if slow.failed or fast.failed:
                    print(slow, fast)
                    return 1
    print(f"2 processes serve {statistics.median(ratios):.2f} times as many as 1 (bar: {BAR})")
    return 0 if statistics.median(ratios) >= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
