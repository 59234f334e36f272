"""How long callers wait for the truth: who sends the heartbeats is killed, the server is stopped, Nacos hangs.

Bars: another worker goes on within 2 s, and the instance is never off; a stop is at most 1.1 s longer than without.

    python -m benchmarks.registry.moments [--rounds 3]
"""

import argparse
import os
import shutil
import signal
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.servers import flask, gunicorn
from tests.servers.registry.stand_in import Nacos
from tests.servers.running import Running, wait_until

WORKERS = 4


def stop(server: Running) -> float:
    began = time.monotonic()
    server.process.terminate()
    server.end()
    return time.monotonic() - began


def moment(nacos: Nacos, what: str, after: float) -> float:
    """Seconds from `after` to the next event of this name."""

    def found() -> float | None:
        return next((at - after for at, name, _ in nacos.events if name == what and at > after), None)

    return float(wait_until(found, 20))


def measure(instance: Path) -> tuple[list[float], float, float, float]:
    """Seconds: from a kill to who goes on, from SIGTERM to off; of a stop without Nacos, and with one that hangs."""
    with Nacos(api="v3") as nacos:
        settings = {"NACOS_SERVER_ADDR": nacos.address, "LOG_LEVEL": "WARNING"}
        with gunicorn(instance, "-w", str(WORKERS), **settings) as server:
            wait_until(nacos.living, 10)
            goes_on = []
            for _ in range(WORKERS):  # the holder is among them
                wait_until(lambda: len(server.children()) == WORKERS, 10)
                killed, before = time.monotonic(), len(nacos.happened("again"))
                os.kill(server.children()[0], signal.SIGKILL)
                time.sleep(2.5)
                if len(nacos.happened("again")) > before:
                    goes_on.append(moment(nacos, "again", killed))
            asked = time.monotonic()
            stop(server)
            taken_off = moment(nacos, "deregistered", asked)
            assert nacos.happened("deregistered", "expired") == ["deregistered"]
    with gunicorn(instance, "-w", str(WORKERS)) as server:
        without = stop(server)
    with Nacos(api="v3", hang=True) as nacos:
        with gunicorn(instance, "-w", str(WORKERS), NACOS_SERVER_ADDR=nacos.address) as server:
            time.sleep(1)
            hung = stop(server)
        nacos.hang = False
    return goes_on, taken_off, without, hung


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    instance = Path(tempfile.mkdtemp(prefix="groundwork-registry-"))
    try:
        flask(instance, "db", "upgrade")
        found = [measure(instance) for _ in range(rounds)]
    finally:
        shutil.rmtree(instance, ignore_errors=True)
    slowest = max(seconds for goes_on, *_ in found for seconds in goes_on)
    taken_off, without, hung = (statistics.median(column) for column in list(zip(*found, strict=True))[1:])
    print(f"the holder is killed: another goes on after {slowest:.2f} s at most, never deregistered")
    print(f"SIGTERM: deregistered after {taken_off:.2f} s")
    print(f"a stop takes {without:.2f} s without Nacos, {hung:.2f} s when it hangs")
    return 0 if slowest < 2 and hung < without + 1.1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
