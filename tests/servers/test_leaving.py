"""A worker of Gunicorn's that leaves: whoever has come in already is answered."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, WORK, environment
from tests.servers.running import Running, wait_until


@contextmanager
def on_a_unix_socket(instance: Path, bound: Path, worker_class: str) -> Iterator[Running]:
    """As behind nginx: over TCP the kernel hands a connection over with its first bytes only."""
    command = [Path(sys.executable).with_name("gunicorn"), "-w", "1", "--bind", f"unix:{bound}", WORK]
    settings = environment(instance, TRUSTED_PROXIES=1, WORKER_CLASS=worker_class)
    server = Running(command, cwd=ROOT, env=settings)
    try:
        wait_until(lambda: asked(bound), 30, lambda: server.output)
        yield server
    finally:
        server.kill()


def connected(bound: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    try:
        client.connect(str(bound))
    except OSError:
        client.close()
        raise
    return client


def answer(client: socket.socket) -> bytes:
    client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    return client.recv(4096)


def asked(bound: Path) -> bytes:
    try:
        with connected(bound) as client:
            return answer(client)
    except OSError:
        return b""


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
@pytest.mark.parametrize("moment", [0.02, 0.2])
def test_a_request_that_comes_a_moment_after_its_connection_is_answered(
    instance: Path, tmp_path: Path, worker_class: str, moment: float
) -> None:
    bound = tmp_path / "web.sock"
    with on_a_unix_socket(instance, bound, worker_class) as server, connected(bound) as client:
        (worker,) = server.children()
        time.sleep(moment)  # the stock worker looks for 50 ms; if it has not come to that yet, its successor answers
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.2)
        assert answer(client).startswith(b"HTTP/1.1 200"), server.output


def test_who_never_says_anything_does_not_keep_a_worker(instance: Path, tmp_path: Path) -> None:
    bound = tmp_path / "web.sock"
    with on_a_unix_socket(instance, bound, "gthread") as server, connected(bound):
        time.sleep(0.5)
        server.process.terminate()
        asked = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - asked < 10  # and not `graceful_timeout`, 30 s
