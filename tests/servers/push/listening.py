"""Pages that listen, without a browser: by WebSocket or by server-sent events, and back again as push.js does it."""

import contextlib
import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from simple_websocket import Client
from simple_websocket.errors import SimpleWebsocketError
from wsproto.utilities import RemoteProtocolError

from benchmarks.servers import ROOT, environment

PUBLISH = """
import sys, time
from wsgi import app
from app.platform.events import publish
first, last, pause = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with app.app_context():
    for number in range(first, last):
        publish(sys.argv[1], {"n": number, "at": time.time()})
        time.sleep(pause)
"""


def publishing(
    instance: Path, count: int, channel: str = "a", pause: float = 0, first: int = 0, **settings: object
) -> subprocess.Popen[bytes]:
    """A process that publishes the numbers from `first`, so many."""
    command = [sys.executable, "-c", PUBLISH, channel, str(first), str(first + count), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(instance, **settings))


def publish(instance: Path, count: int, **options: Any) -> None:
    assert publishing(instance, count, **options).wait(60) == 0


RANDOM = random.Random(5)  # noqa: S311 - no secret


class Page:
    """What is told to it is in `numbers`, and how long each was on its way in `delays`, in seconds."""

    def __init__(self, port: int, way: str = "websocket", channel: str = "a") -> None:
        self._port, self._way, self._channel = port, way, channel
        self.numbers: list[int] = []
        self.delays: list[float] = []
        self.opened: list[float] = []  # moments at which a stream was there
        self.ended: list[float] = []  # and at which it was not any more
        self.lost = False
        self._last = ""
        self._over = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(15)

    def _live(self) -> None:
        while not self._over.is_set():
            try:
                pause = self._ask()
            except (OSError, http.client.HTTPException, SimpleWebsocketError, RemoteProtocolError, ValueError):
                pause = RANDOM.uniform(0.2, 2)
            self._over.wait(pause)

    def _query(self) -> str:
        return f"?channel={self._channel}&" + (f"after={self._last}" if self._last else "age=1")

    def _ask(self) -> float:
        """One question, and what follows from it. Returns after how many seconds to ask again."""
        asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            asking.request("GET", f"/events/since{self._query()}")
            answer = json.loads(asking.getresponse().read())
        finally:
            asking.close()
        for event in answer["events"]:
            self._hear(event)
        self._last, self.lost = answer["id"], self.lost or answer["lost"]
        if self._way == "asking" or answer["by"] == "asking":
            return RANDOM.uniform(0.8, 1.1)
        if self._way == "websocket" and answer["by"] == "websocket":
            self._by_websocket()
        else:
            self._by_stream()
        return RANDOM.uniform(0.2, 2)

    def _by_websocket(self) -> None:
        connection = Client.connect(f"ws://127.0.0.1:{self._port}/ws{self._query()}")
        self._socket = connection.sock
        self.opened.append(time.monotonic())
        try:
            while not self._over.is_set():
                self._hear(json.loads(connection.receive()))
        finally:
            self.ended.append(time.monotonic())

    def _by_stream(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", f"/events{self._query()}")
            self._socket = connection.sock
            response = connection.getresponse()
            if response.status != 200:
                return
            self.opened.append(time.monotonic())
            for line in response:
                if line.startswith(b"data: "):
                    self._hear(json.loads(line[6:]))
        finally:
            if self.opened:
                self.ended.append(time.monotonic())
            connection.close()

    def _hear(self, told: dict[str, Any]) -> None:
        self._last = told.get("id", self._last)
        self.lost = self.lost or told.get("lost", False)
        if "channel" in told:
            self.numbers.append(told["event"]["n"])
            self.delays.append(time.time() - told["event"]["at"])
