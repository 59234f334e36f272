"""The background loop of many tutorials, done by one of all workers and machines: every 6 s it says how far it is.

python -m benchmarks.worker.loop [--seconds 6] [--rounds 10]     start it often, and kill the one that runs
"""

import argparse
import os
import time

from app import create_app
from app.platform.locks import Lock, lock


def update_progress(number: int, fence: int) -> None:
    print(f"{time.time():.2f} process {os.getpid()} holder {fence} round {number}", flush=True)


def run(only: Lock, seconds: float, rounds: int) -> None:
    """Rounds that this process does; while another does them it waits to take over."""
    number, fence = 0, None
    while number < rounds:
        if fence is None:
            fence = only.acquire()
        elif not only.renew():  # another may be at it: what was begun is left
            fence = None
        if fence is None:
            time.sleep(0.5)
            continue
        update_progress(number, fence)
        number += 1
        _sleep_and_renew(only, seconds)
    only.release()


def _sleep_and_renew(only: Lock, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1))
        if not only.renew():
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with create_app().app_context():
        run(lock("update progress", lease=5), options.seconds, options.rounds)


if __name__ == "__main__":
    main()
