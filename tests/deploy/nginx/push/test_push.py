"""What the application pushes passes nginx, at once and from our own pages only."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.deploy.nginx.conftest import Front

pytestmark = pytest.mark.filterwarnings("ignore:unclosed")


def host(front: Front) -> str:
    return f"{front.site.domain}:{front.site.https}"


@contextmanager
def websocket(front: Front, origin: str) -> Iterator[IO[bytes]]:
    """What the server sends after a handshake."""
    connection = front.site.connection(timeout=15)
    connection.connect()
    head = f"GET {front.prefix}/ws?channel=a HTTP/1.1\r\nHost: {host(front)}\r\nOrigin: {origin}\r\n"
    head += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    head += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
    connection.sock.sendall(head.encode())
    received = connection.sock.makefile("rb")
    try:
        yield received
    finally:
        received.close()
        connection.close()


def test_a_page_of_ours_opens_a_websocket_through_the_proxy(each_front: Front) -> None:
    with websocket(each_front, f"https://{host(each_front)}") as received:
        assert received.readline().startswith(b"HTTP/1.1 101 ")
        while received.readline() != b"\r\n":
            pass
        kind, length = received.read(2)
        assert (kind, list(json.loads(received.read(length)))) == (0x81, ["id"])


def test_a_page_of_another_site_is_refused_through_the_proxy(each_front: Front) -> None:
    with websocket(each_front, "https://evil.example") as received:
        assert received.readline().startswith(b"HTTP/1.1 403 ")


def test_a_stream_of_events_begins_at_once(each_front: Front) -> None:
    connection = each_front.site.connection(timeout=15)
    connection.request("GET", f"{each_front.prefix}/events?channel=a", headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    first, beat = response.readline(), [response.readline() for _ in range(3)][2]
    connection.close()
    assert (response.status, first[:7], beat[:7]) == (200, b"retry: ", b"data: {")


def test_a_page_is_told_to_listen_by_websocket(each_front: Front) -> None:
    connection = each_front.site.connection(timeout=15)
    connection.request("GET", f"{each_front.prefix}/events/since?channel=a")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["by"] == "websocket"
