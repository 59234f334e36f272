"""What connections that are open and silent cost other requests. Bar: p99 at most 1.3 times that without them.

python -m benchmarks.push.idle [--connections 1000] [--requests 1500] [--rounds 5]

One gevent worker. Rounds with and without the connections take turns, and each figure is the median of its rounds.
"""

import argparse
import asyncio
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.push.delivery import HEAD, WEBSOCKET
from benchmarks.servers import ROOT, flask, gunicorn


class Quiet:
    """A page with a WebSocket on which nothing is said, but that answers pings."""

    async def open(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(HEAD.format("/ws?channel=quiet", WEBSOCKET.format(key)).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], head
        self._task = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        while True:
            kind, length = await self._reader.readexactly(2)
            await self._reader.readexactly(length)
            if kind == 0x89:
                self._writer.write(b"\x8a\x80\0\0\0\0")


async def p99(port: int, requests: int) -> float:
    """Milliseconds, of requests for the list of posts that one client sends one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    taken = []
    for _ in range(requests):
        began = time.perf_counter()
        writer.write(HEAD.format("/posts/", "").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        taken.append(time.perf_counter() - began)
    writer.close()
    return sorted(taken)[int(0.99 * requests)] * 1000


async def hold(port: int, connections: int) -> None:
    """Until the standard input ends. In a process of its own: its work is not what is measured."""
    pages = [Quiet() for _ in range(connections)]
    for page in pages:
        await page.open(port)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def measure(port: int, connections: int, requests: int, rounds: int) -> tuple[float, float]:
    without, beside = [], []
    asyncio.run(p99(port, requests))  # everything is loaded now
    command = [sys.executable, "-m", "benchmarks.push.idle", "--hold", str(port), "--connections", str(connections)]
    for _ in range(rounds):
        without.append(asyncio.run(p99(port, requests)))
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == b"open\n"
            time.sleep(2)
            beside.append(asyncio.run(p99(port, requests)))
            holder.communicate()
        time.sleep(2)
    return statistics.median(without), statistics.median(beside)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hold", type=int, metavar="PORT", help="of this program's own second process")
    arguments = parser.parse_args()
    if arguments.hold:
        asyncio.run(hold(arguments.hold, arguments.connections))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        flask(instance, "seed")
        places = str(arguments.connections * 2)
        options = ["-k", "gevent", "-w", "1", "--worker-connections", places, "--max-requests", "0"]
        with gunicorn(instance, *options, application="wsgi:app", LOG_LEVEL="WARNING") as server:
            without, beside = measure(server.port, arguments.connections, arguments.requests, arguments.rounds)
    print(
        f"p99 without {without:.1f} ms, beside {arguments.connections} idle WebSockets {beside:.1f} ms: "
        f"{beside / without:.2f} times (bar: 1.3)"
    )
    return 0 if beside <= 1.3 * without else 1


if __name__ == "__main__":
    raise SystemExit(main())
