"""Connections that say nothing, as browsers open them in advance, against a default start with 2 workers.

16 that never send a byte: bar for the other clients' p99 below 50 ms. Then 100 keep-alive connections that asked once
and went silent: bar no stall over 2 s.

    python -m benchmarks.silent [--seconds 8]
"""

import argparse
import socket
import tempfile
from pathlib import Path

from benchmarks.load import Load, Result
from benchmarks.servers import flask, gunicorn

P99, STALL = 0.050, 2.0  # seconds


def with_silent(port: int, count: int, first_words: bytes, seconds: float) -> Result:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
    for connection in silent:
        if first_words:
            connection.sendall(first_words)
            connection.recv(4096)
    try:
        return Load(port, "/health", keep_alive=2, close=2, think=0.02).run_for(seconds)
    finally:
        for connection in silent:
            connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        with gunicorn(instance, "-w", "2", application="wsgi:app", LOG_LEVEL="WARNING") as server:
            alone = Load(server.port, "/health", keep_alive=2, close=2, think=0.02).run_for(seconds / 2)
            silent = with_silent(server.port, 16, b"", seconds)
            kept = with_silent(server.port, 100, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", seconds)
    print(f"alone:                  {alone}")
    print(f"16 silent connections:  {silent} (bar: p99 < {P99 * 1000:.0f} ms)")
    print(f"100 silent keep-alive:  {kept} (bar: stall < {STALL:.0f} s)")
    good = silent.percentile(99) < P99 and kept.longest_stall < STALL and not silent.failed and not kept.failed
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
