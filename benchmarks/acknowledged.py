"""Kills everything while rows are being written. Bar: every row that was acknowledged is there, in 20 of 20 rounds.

The master and all workers get SIGKILL at once, in the middle of the writes; the next round starts in the same folder.

    python -m benchmarks.acknowledged [--rounds 20]
"""

import argparse
import os
import random
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.servers import flask, gunicorn
from benchmarks.writers import ENTRIES, Writers, written

WRITERS = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()

    lost = acknowledged = damaged = 0
    with tempfile.TemporaryDirectory() as folder:
        instance, database = Path(folder), Path(folder, "app.db")
        flask(instance, "db", "upgrade")
        flask(instance, "make-entries", application=ENTRIES)
        for number in range(arguments.rounds):
            names = range(number * WRITERS, (number + 1) * WRITERS)
            with gunicorn(instance, "-w", "2", application=ENTRIES, LOG_LEVEL="WARNING") as server:
                with Writers(server.port, names, patient=False) as writers:
                    time.sleep(random.uniform(0.3, 1.0))  # noqa: S311 - no secret
                    for pid in (server.process.pid, *server.children()):
                        os.kill(pid, signal.SIGKILL)
                server.end()
            found = written(f"sqlite:///{database}")
            lost += sum(max(0, last - found.get(name, 0)) for name, last in writers.acknowledged.items())
            acknowledged += sum(writers.acknowledged.values())
            with closing(sqlite3.connect(database)) as connection:
                damaged += connection.execute("PRAGMA integrity_check").fetchone() != ("ok",)
            print(
                f"round {number + 1}: {sum(writers.acknowledged.values())} acknowledged, {lost} lost so far", flush=True
            )
    print(
        f"{arguments.rounds} rounds of kill -9: {acknowledged} rows acknowledged, {lost} lost, "
        f"{damaged} damaged databases (bar: 0, 0)"
    )
    return 0 if acknowledged and lost == damaged == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
