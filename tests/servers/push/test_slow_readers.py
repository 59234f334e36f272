"""Who does not read, or says too much, costs no other page its place, and a stop no time."""

import base64
import contextlib
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from simple_websocket import Client, ConnectionClosed

from app.extras.push.hub import STALLED
from app.extras.push.websocket import ALLOWED, LONGEST
from benchmarks.servers import gunicorn
from tests.servers.push.listening import Page
from tests.servers.running import Running, get, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
HISTORY = 1000
ASKED = {
    "stream": "GET /events?channel=a&after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "websocket": "GET /ws?channel=a&after=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(16 * b'k').decode()}\r\n\r\n",
}
OPTIONS = {"gthread": ["-k", "gthread"], "gevent": ["-k", "gevent", "--worker-connections", "5"]}
ROOM = {"gthread": 2, "gevent": 4}  # of THREADS=4, and of those 5


@pytest.fixture
def full(instance: Path) -> Path:
    """With 8 MB of history: more than what the buffers between the two hold."""
    with contextlib.closing(sqlite3.connect(instance / "app.db")) as database, database:
        for number in range(HISTORY):
            data = json.dumps({"n": number, "at": 0, "text": 8000 * "x"})
            database.execute("INSERT INTO events (channel, data, created) VALUES ('a', ?, ?)", (data, time.time() + 60))
    return instance


@contextlib.contextmanager
def deaf_pages(port: int, ways: list[str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for way in ways:
            page = stack.enter_context(socket.socket())
            page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            page.connect(("127.0.0.1", port))
            page.sendall(ASKED[way].encode())
        yield


def way(server: Running) -> str:
    return str(json.loads(get(server.port, "/events/since?channel=b")[2])["by"])


@pytest.mark.parametrize("worker", OPTIONS)
def test_a_stop_does_not_wait_for_pages_that_do_not_read(full: Path, worker: str) -> None:
    with (
        gunicorn(full, "-w", "1", *OPTIONS[worker], THREADS=4) as server,
        deaf_pages(server.port, (ROOM[worker] * ["stream", "websocket"])[: ROOM[worker]]),
    ):
        wait_until(lambda: way(server) == "asking", 10)
        time.sleep(1)  # until nothing more fits between them
        told = time.monotonic()
        server.process.terminate()
        assert server.end(40) == 0
        assert time.monotonic() - told < 10, "and not the 30 s that are given to requests"


@pytest.mark.parametrize("worker", OPTIONS)
def test_pages_that_do_not_read_give_their_places_back_without_an_error(full: Path, worker: str) -> None:
    """By stream: a WebSocket notices it by the pings that are not answered."""
    with (
        gunicorn(full, "-w", "1", *OPTIONS[worker], THREADS=4) as server,
        deaf_pages(server.port, ROOM[worker] * ["stream"]),
    ):
        wait_until(lambda: way(server) == "asking", 10)
        time.sleep(STALLED / 2)
        assert way(server) == "asking", "a page may be slow for a while"
        wait_until(lambda: way(server) == "websocket", STALLED + 20)
        assert "Traceback" not in server.output


@pytest.mark.parametrize("way", ["stream", "websocket"])
def test_a_page_that_is_far_behind_gets_all_in_order(full: Path, way: str) -> None:
    with gunicorn(full, "-w", "1") as server:
        page = Page(server.port, way)
        try:
            wait_until(lambda: len(page.numbers) >= HISTORY, 30)
        finally:
            page.close()
        assert page.numbers == list(range(HISTORY))
        assert len(page.opened) == 1, "on one connection"


@pytest.mark.parametrize(
    ("message", "times", "code"),
    [("x" * (LONGEST + 1), 1, 1009), ("x" * (LONGEST // 2), ALLOWED // (LONGEST // 2) + 1, 1008)],
    ids=["at once", "within ten seconds"],
)
def test_a_page_that_says_too_much_is_told_so_and_left(instance: Path, message: str, times: int, code: int) -> None:
    with gunicorn(instance, "-w", "1") as server:
        connection = Client.connect(f"ws://127.0.0.1:{server.port}/ws?channel=a")
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - it may be closed before all is said
            for _ in range(times):
                connection.send(message)
            while connection.receive(timeout=10):
                pass
        assert closed.value.reason == code
        assert "Traceback" not in server.output
