"""Events to many subscribers. Bar: each gets all, in order; p99 within 100 ms through Redis, 1.5 s without.

python -m benchmarks.push.delivery [--worker gevent] [--database sqlite|postgresql] [--redis]
    [--subscribers 400] [--events 1000] [--rate 15]

Subscribers take what the server offers each of them: a WebSocket, else they ask once a second, as push.js does.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.servers import flask, gunicorn
from tests.servers import services
from tests.servers.push.listening import publishing
from tests.servers.running import Running

HEAD = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n"
WEBSOCKET = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n"


class Subscriber:
    def __init__(self, port: int) -> None:
        self._port = port
        self.numbers: list[int] = []
        self.delays: list[float] = []
        self.way, self._last = "", ""
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def live(self) -> None:
        while True:
            answer = await self._ask()
            for event in answer["events"]:
                self._hear(event)
            self._last, self.way = answer["id"], answer["by"]
            if answer["by"] == "websocket" and await self._listen():
                self.way = "websocket"
            else:
                self.way = "asking"
            await asyncio.sleep(random.uniform(0.8, 1.1))  # noqa: S311

    def _query(self) -> str:
        return f"?channel=a&after={self._last}" if self._last else "?channel=a&age=1"

    async def _ask(self) -> dict[str, Any]:
        """On a connection that is kept, as browsers keep it."""
        while True:
            if self._kept is None:
                self._kept = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._kept
            try:
                writer.write(HEAD.format(f"/events/since{self._query()}", "").encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            except (OSError, EOFError):
                self._kept = None  # the server was first to close it
                continue
            if b"connection: close" in head:
                writer.close()
                self._kept = None
            found: dict[str, Any] = json.loads(body)
            return found

    async def _listen(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(HEAD.format(f"/ws{self._query()}", WEBSOCKET.format(key)).encode())
        try:
            if b" 101 " not in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]:
                return False
            self.way = "websocket"
            while True:
                kind, length = await reader.readexactly(2)
                if length == 126:
                    length = int.from_bytes(await reader.readexactly(2), "big")
                payload = await reader.readexactly(length)
                if kind == 0x89:
                    writer.write(b"\x8a\x80\0\0\0\0")
                elif kind == 0x88:
                    return True
                else:
                    self._hear(json.loads(payload))
        except (OSError, EOFError):
            return True
        finally:
            writer.close()

    def _hear(self, told: dict[str, Any]) -> None:
        self._last = told.get("id", self._last)
        if "channel" in told:
            self.numbers.append(told["event"]["n"])
            self.delays.append(time.time() - told["event"]["at"])


async def measure(server: Running, instance: Path, arguments: argparse.Namespace, settings: dict[str, str]) -> int:
    subscribers = [Subscriber(server.port) for _ in range(arguments.subscribers)]
    tasks = []
    for subscriber in subscribers:
        tasks.append(asyncio.create_task(subscriber.live()))
        await asyncio.sleep(0.01)
    await asyncio.sleep(3)
    ways = [subscriber.way for subscriber in subscribers]
    began = time.monotonic()
    publisher = publishing(instance, arguments.events, pause=1 / arguments.rate, **settings)
    until = time.monotonic() + arguments.events / arguments.rate * 3 + 60
    while time.monotonic() < until and any(len(each.numbers) < arguments.events for each in subscribers):
        await asyncio.sleep(0.2)
    took = time.monotonic() - began
    publisher.wait(10)
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    whole = sum(each.numbers == list(range(arguments.events)) for each in subscribers)
    delays = sorted(delay for each in subscribers for delay in each.delays)
    p50, p99 = (delays[int(share * (len(delays) - 1))] * 1000 for share in (0.5, 0.99))
    bar = 100 if arguments.redis else 1500
    print(
        f"{arguments.subscribers} subscribers ({ways.count('websocket')} by WebSocket, {ways.count('asking')} asking), "
        f"{arguments.events} events in {took:.0f} s: {whole} got all in order; "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {delays[-1] * 1000:.0f} ms (bar: all, p99 {bar} ms)"
    )
    return 0 if whole == len(subscribers) and p99 <= bar else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", default="gevent")
    parser.add_argument("--workers", default="4")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--subscribers", type=int, default=400)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=15, help="events a second")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        instance = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"LOG_LEVEL": "WARNING"}
        if arguments.database == "postgresql":
            settings["DATABASE_URL"] = stack.enter_context(services.postgres())
        if arguments.redis:
            settings["REDIS_URL"] = stack.enter_context(services.redis())
        flask(instance, "db", "upgrade", **settings)
        options = ["-k", arguments.worker, "-w", arguments.workers]
        server = stack.enter_context(gunicorn(instance, *options, application="wsgi:app", **settings))
        return asyncio.run(measure(server, instance, arguments, settings))


if __name__ == "__main__":
    raise SystemExit(main())
