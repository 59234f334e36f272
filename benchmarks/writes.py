"""Read-modify-write on SQLite through the application, from several processes, while others hold back their bodies.

4 worker processes; 4 clients each add to one counter 150 times; meanwhile 20 clients have sent the head and half of the
body of a POST and then nothing. Bar: no addition lost, no "database is locked", and nobody waits for the slow bodies.

    python -m benchmarks.writes [--database postgresql://…]
"""

import argparse
import re
import socket
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks.servers import WORK, flask, gunicorn
from benchmarks.visitor import Visitor
from tests.servers.running import get

COUNTER = "/counters/1"
WRITERS, WRITES, SLOW_BODIES = 4, 150, 20
PATIENCE = 2.0  # seconds: a write that takes longer has waited for somebody


def hold_back_a_body(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    with Visitor(port, COUNTER) as visitor:
        body = f"csrf_token={visitor.token}&more="
        head = "".join(f"{name}: {value}\r\n" for name, value in visitor.headers().items())
    text = f"POST {COUNTER} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body) + 100}\r\n\r\n{body}"
    connection.sendall(text.encode())
    return connection


def counted_to(port: int) -> int:
    match = re.search(r"Counted to (\d+)", get(port, COUNTER)[2])
    assert match
    return int(match[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="DATABASE_URL; default: an SQLite file")
    arguments = parser.parse_args()
    settings = {"DATABASE_URL": arguments.database} if arguments.database else {}

    statuses: Counter[int] = Counter()
    slowest = [0.0]
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade", **settings)
        flask(instance, "make-counters", application=WORK, **settings)
        with gunicorn(instance, "-w", "4", LOG_LEVEL="WARNING", **settings) as server:
            before = counted_to(server.port)
            held = [hold_back_a_body(server.port) for _ in range(SLOW_BODIES)]
            time.sleep(0.5)

            def write() -> None:
                with Visitor(server.port, COUNTER) as visitor:
                    for _ in range(WRITES):
                        started = time.monotonic()
                        statuses[visitor.send(COUNTER)[0]] += 1
                        slowest[0] = max(slowest[0], time.monotonic() - started)

            threads = [threading.Thread(target=write) for _ in range(WRITERS)]
            started = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            elapsed = time.monotonic() - started
            counted = counted_to(server.port) - before
            for connection in held:
                connection.close()
            locked = server.output.count("database is locked")

    lost = WRITERS * WRITES - counted
    print(
        f"{WRITERS} x {WRITES} writes in {elapsed:.1f} s beside {SLOW_BODIES} unfinished bodies: {lost} lost, "
        f"{locked} locked, answers {dict(statuses)}, slowest {slowest[0]:.2f} s (bar: 0 lost, 0 locked, < {PATIENCE} s)"
    )
    return 0 if lost == locked == 0 and set(statuses) == {303} and slowest[0] < PATIENCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
