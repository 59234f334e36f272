"""METRICS_PORT: a process beside the workers that answers /metrics to every machine, and nothing else.

One for each server (serving/companions.py), so that it answers while all threads of all workers are busy: that is when
it is wanted. After a reload the successor's waits for the port until the predecessor has let go of it.
Clients that are slow or silent hold no thread (Waitress reads and writes for them), and lose their place after 5 s.
"""

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from serving.leash import take_stdin
from serving.waitress_process import WINDOWS, drain_at_end_of, draining, load, turn

SILENCE = 5  # seconds after which a client that neither asks nor reads is sent away
CLIENTS = 64  # connections at the same time; with so many silent ones the next answer comes after SILENCE
RETRY = 0.25  # seconds between two tries for a port that another process has
LONGEST_RETRY = 30.0  # seconds between two tries where it is not that: an address may come with its network

_log = logging.getLogger("groundwork.metrics")


def main(where: str) -> int:
    """`where` is METRICS_PORT: 9100, or 127.0.0.1:9100."""
    for name in ("SIGINT", "SIGBREAK"):  # Windows sends the second to every process of the console; the parent decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: draining.set())
    threading.Thread(target=drain_at_end_of, args=(take_stdin(),), daemon=True).start()
    answer = Answer(load("wsgi:app").extensions["exposition"])
    if listener := take(where):
        with listener:
            serve(listener, answer)
    os._exit(0)  # a scrape that waits for a database must not hold the port, nor the parent


def take(where: str) -> socket.socket | None:
    """The port, as soon as it is free; None when it is time to leave. What does not pass by itself is told once."""
    patience, pause, told = time.monotonic() + 60, RETRY, False  # s; a predecessor drains for 30
    while not draining.wait(pause):
        try:
            return listen(where)
        except OSError as error:
            is_taken = error.errno in {errno.EADDRINUSE, errno.EACCES}
            pause = RETRY if is_taken else min(2 * pause, LONGEST_RETRY)
            if not told and (not is_taken or time.monotonic() > patience):
                told = True
                _log.error("METRICS_PORT %s can not be opened, it is tried again: %s", where, error.strerror)
    return None


def listen(where: str) -> socket.socket:
    """At the address that is named, else at all of this machine, of both kinds where there are both."""
    host, _, digits = where.rpartition(":")
    port = int(digits)
    if host:
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return socket.create_server(("", port))


class Answer:
    """The WSGI application."""

    def __init__(self, exposition: Callable[[], bytes]) -> None:
        self._exposition = exposition

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, body = "200 OK", b""
        if environ["PATH_INFO"] != "/metrics":
            status, body = "404 Not Found", b"Only /metrics is here.\n"
        elif environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", b"GET it.\n"
        else:
            try:
                body = self._exposition()
            except Exception as error:
                _log.warning("METRICS_PORT: %r", error)
                status, body = "503 Service Unavailable", b"The counts can not be read now.\n"
        kind = "text/plain; version=0.0.4; charset=utf-8"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


def serve(listener: socket.socket, answer: Answer) -> None:
    connections: dict[int, Any] = {}
    server = create_server(
        answer,
        map=connections,
        sockets=[listener],
        threads=2,
        asyncore_use_poll=not WINDOWS,
        connection_limit=CLIENTS,
        channel_timeout=SILENCE,
        cleanup_interval=1,
        max_request_header_size=8192,
        max_request_body_size=1024,
        ident=None,
    )
    _log.info("/metrics is answered on port %s", listener.getsockname()[1])
    while not draining.is_set():
        turn(connections)
    wasyncore.dispatcher.close(server)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
