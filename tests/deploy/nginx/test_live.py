"""Live events and WebSockets pass nginx as they are."""

import base64
import hashlib
import os
import struct
import time

import pytest

from tests.deploy.nginx.conftest import Front

pytestmark = pytest.mark.filterwarnings("ignore:unclosed")


def frame(text: bytes) -> bytes:
    """As a browser sends it: masked (RFC 6455, 5.3)."""
    mask = os.urandom(4)
    return struct.pack("!BB", 0x81, 0x80 | len(text)) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text))


def test_an_event_arrives_at_once_and_a_silent_stream_stays(each_front: Front) -> None:
    connection = each_front.site.connection(timeout=15)
    started = time.monotonic()
    connection.request("GET", f"{each_front.prefix}/events", headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    first = response.readline() + response.readline()
    first_after = time.monotonic() - started
    second = response.readline()
    connection.close()
    assert (first, second) == (b"data: first\n\n", b"data: second\n")
    assert first_after < time.monotonic() - started - 0.5


def test_a_websocket_echoes(each_front: Front) -> None:
    site, key = each_front.site, base64.b64encode(os.urandom(16))
    connection = site.connection(timeout=15)
    connection.connect()
    head = f"GET {each_front.prefix}/ws HTTP/1.1\r\nHost: {site.domain}\r\n"
    head += "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    head += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
    connection.sock.sendall(head.encode())
    received = connection.sock.makefile("rb")
    assert received.readline().startswith(b"HTTP/1.1 101 ")
    headers = b"".join(iter(received.readline, b"\r\n"))
    accepted = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324
    assert b"Sec-WebSocket-Accept: " + accepted in headers
    for text in (b"first", b"second"):
        connection.sock.sendall(frame(text))
        assert received.read(2 + len(text)) == struct.pack("!BB", 0x81, len(text)) + text
    connection.sock.sendall(b"\x88\x80" + os.urandom(4))
    assert received.read(2) == b"\x88\x00"
    connection.close()
