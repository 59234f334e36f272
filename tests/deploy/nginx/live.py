"""The application, and beside it what a test of a proxy needs: a stream of events, a WebSocket that echoes, the headers
that arrive, a large answer, and an address at which the worker dies.

They stand outside the gateway and take every address that ends so, whatever the application has there.
"""

import base64
import hashlib
import json
import os
import signal
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any

from app import create_app

app = create_app()
_application = app.wsgi_app
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
PAUSE = float(os.environ.get("EVENTS_PAUSE", "1"))  # seconds between the two events


def _live(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if "channel=" in environ["QUERY_STRING"]:  # what app/extras/push has there
        return _application(environ, start_response)
    if path.endswith("/events"):
        start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
        return _events()
    if path.endswith("/ws"):
        return _echo(environ, start_response)
    if path.endswith("/received"):
        return _whole(start_response, json.dumps(_received(environ)).encode())
    if path.endswith("/large"):
        return _whole(start_response, b"x" * 512 * 1024)
    if path.endswith("/deadly"):
        with open(environ["HTTP_X_COUNT_IN"], "ab") as times:
            times.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)
    return _application(environ, start_response)


def _received(environ: dict[str, Any]) -> dict[str, str]:
    """All that came from a header, and the body."""
    headers = {name: value for name, value in environ.items() if name.startswith("HTTP_") or name == "REMOTE_ADDR"}
    return headers | {"body": environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()}


def _whole(start_response: Any, body: bytes) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _events() -> Iterator[bytes]:
    yield b"data: first\n\n"
    time.sleep(PAUSE)
    yield b"data: second\n\n"


def _echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Sends every text back until the other side closes."""
    asked = environ.get("HTTP_UPGRADE", "").lower(), environ.get("HTTP_CONNECTION", "").lower()
    if asked != ("websocket", "upgrade"):
        start_response("426 Upgrade Required", [("Content-Length", "0")])
        return []
    connection = environ["gunicorn.socket"]
    connection.settimeout(30)
    key = environ["HTTP_SEC_WEBSOCKET_KEY"].encode() + _WEBSOCKET
    accepted = base64.b64encode(hashlib.sha1(key).digest())  # noqa: S324 - prescribed by RFC 6455
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    connection.sendall(switching + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
    while (text := _receive_text(connection)) is not None:
        connection.sendall(struct.pack("!BB", 0x81, len(text)) + text)
    connection.sendall(b"\x88\x00")  # closed
    raise StopIteration  # how Gunicorn is told that the socket is not its any more


def _receive_text(connection: Any) -> bytes | None:
    """The next text of at most 125 bytes; None when the other side closes."""
    head = _exactly(connection, 2)
    if head[0] & 0x0F == 0x8:
        return None
    mask, masked = _exactly(connection, 4), _exactly(connection, head[1] & 0x7F)
    return bytes(byte ^ mask[position % 4] for position, byte in enumerate(masked))


def _exactly(connection: Any, count: int) -> bytes:
    received = b""
    while len(received) < count:
        if not (more := connection.recv(count - len(received))):
            raise ConnectionError("closed in the middle of a frame")
        received += more
    return received


app.wsgi_app = _live  # type: ignore[method-assign]
