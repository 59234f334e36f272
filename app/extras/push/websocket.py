"""The WebSocket protocol (RFC 6455) on a socket that the server lends: it is never closed here, only shut down.

Imported with the first WebSocket of a process.
"""

import contextlib
import functools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flask import Response
from simple_websocket import Server  # type: ignore[import-untyped]
from simple_websocket.errors import SimpleWebsocketError  # type: ignore[import-untyped]
from wsproto.frame_protocol import CloseReason

from app.extras.push.hub import Hub, Subscriber

if TYPE_CHECKING:
    from app.extras.events.bus import Event, Number

LONGEST = 4096  # bytes of a message from a client, who has nothing to say here
ALLOWED = 16_384  # bytes that a client may send in WINDOW: its answers to our pings are 6 bytes each
WINDOW = 10.0  # s
SILENCE = 40.0  # s without a byte, though pings were sent: nobody is there any more
GOODBYE = 0.5  # s for the other side to say goodbye, too
PING_EVERY = 15.0  # s
PING = b"\x89\x00"


def text_frame(text: str) -> bytes:
    """RFC 6455, 5.2; a server masks nothing. Events and what is beside them are below 64 KiB."""
    payload = text.encode()
    long = struct.pack("!BH", 126, len(payload)) if len(payload) > 125 else bytes([len(payload)])
    return b"\x81" + long + payload


@functools.lru_cache(maxsize=256)  # made once, however many are told
def frame(event: "Event") -> bytes:
    return text_frame(event.json)


class Line:
    """The socket as simple_websocket uses it: whole frames, also from two threads at once, and a client with limits."""

    def __init__(self, connection: socket.socket, allowed: float) -> None:
        # A time-out of its own, in place of the one that Gunicorn's listener has bequeathed (serving/gthread.py).
        connection.settimeout(SILENCE)
        self._connection, self._allowed = connection, allowed
        self._lock = threading.Lock()
        self._received, self._since = 0, time.monotonic()
        self.is_abused = False

    def send(self, data: bytes) -> None:
        with self._lock:
            self._connection.sendall(data)

    def recv(self, size: int) -> bytes:
        data = self._connection.recv(size)
        if time.monotonic() - self._since > WINDOW:
            self._received, self._since = 0, time.monotonic()
        self._received += len(data)
        self.is_abused = self._received > self._allowed
        return data

    def close(self) -> None:
        """Gunicorn closes it, and counts its connections; a second time would count twice."""
        with contextlib.suppress(OSError):  # the client was first
            self._connection.shutdown(socket.SHUT_WR)

    def drain(self, seconds: float) -> None:
        """Reads to the end: what is closed with bytes unread is reset, and our last frame with it."""
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            self._connection.settimeout(seconds)
            while time.monotonic() < until and self._connection.recv(4096):
                pass


class Socket(Server):  # type: ignore[misc]
    """After __init__ the handshake is done, and a thread reads what comes."""

    def __init__(
        self,
        environ: dict[str, Any],
        on_end: Callable[[], None] = lambda: None,
        longest: int = LONGEST,
        allowed: float = ALLOWED,
    ) -> None:
        self.line, self._on_end = Line(environ["gunicorn.socket"], allowed), on_end
        # No compression: it takes 300 KiB for each connection, for messages of some hundred bytes.
        headers = {name: value for name, value in environ.items() if name != "HTTP_SEC_WEBSOCKET_EXTENSIONS"}
        thread = functools.partial(threading.Thread, daemon=True)
        super().__init__(headers | {"gunicorn.socket": self.line}, max_message_size=longest, thread_class=thread)

    def _thread(self) -> None:
        try:
            super()._thread()
        finally:
            self._on_end()

    def _handle_events(self) -> bool:
        if self.line.is_abused:
            self.close(CloseReason.POLICY_VIOLATION, "That was too much at once.")
            return False
        return bool(super()._handle_events())

    def leave(self, reason: CloseReason) -> None:
        """Says goodbye, and waits a moment for the other side's."""
        with contextlib.suppress(SimpleWebsocketError, OSError):
            self.close(reason)
        self.thread.join(GOODBYE)
        self.line.drain(GOODBYE)


class Taken(Response):
    """What a view answers that speaks another protocol on the socket, once the request is over for Flask."""

    def __init__(self, conversation: Any) -> None:
        super().__init__(status=101)
        self._conversation = conversation

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """`start_response` is not called, so that the gateway logs 101 and nothing is sent."""
        return self._conversation


class Conversation:
    """The body of an answer that never starts: iterating over it is the conversation."""

    def __init__(self, hub: Hub, subscriber: Subscriber, begin: "Number", environ: dict[str, Any]) -> None:
        self._hub, self._subscriber, self._begin, self._environ = hub, subscriber, begin, environ
        self.close = functools.partial(hub.remove, subscriber)

    def __iter__(self) -> Iterator[bytes]:
        try:
            websocket = Socket(self._environ, self._subscriber.end)
            self._tell(websocket)
        except (SimpleWebsocketError, OSError, *self._hub.bus.errors):
            pass  # the client has gone, or comes back
        except Exception:
            self._subscriber.cut_off()
            raise
        raise StopIteration  # how Gunicorn is told that there is nothing to send

    def _tell(self, websocket: Socket) -> None:
        subscriber = self._subscriber
        for news in subscriber.catch_up(self._begin):
            if news.lost:
                websocket.line.send(text_frame('{"lost":true}'))
            websocket.line.send(b"".join(map(frame, news.events)) + self._position())
        # Not in step with the others that came back when this server began.
        ping_at = time.monotonic() + random.uniform(0, PING_EVERY)  # noqa: S311 - no secret
        while not subscriber.is_over and websocket.connected:
            told = b"".join(map(frame, subscriber.take(max(0.0, ping_at - time.monotonic()))))
            if time.monotonic() >= ping_at:  # in a busy channel, too: who is told a lot has nothing to say either
                ping_at = time.monotonic() + PING_EVERY
                told += PING + self._position()
            if told and websocket.connected:
                websocket.line.send(told)
            websocket.input_buffer.clear()  # nobody is asked to say anything
        websocket.leave(CloseReason.GOING_AWAY if subscriber.is_over else CloseReason.NORMAL_CLOSURE)

    def _position(self) -> bytes:
        return text_frame(f'{{"id":"{self._subscriber.position()}"}}')
