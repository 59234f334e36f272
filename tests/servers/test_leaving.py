"""A worker of Gunicorn's that leaves: whoever has come in already is answered."""

import errno
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, WORK, environment, gunicorn
from serving import closing
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


def asked_by_post(port: int) -> str:
    """What becomes of a request that a proxy must not send twice."""
    with socket.socket() as client:
        client.settimeout(20)
        try:
            client.connect(("127.0.0.1", port))
        except OSError:
            return "refused"
        try:
            client.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return "answered" if client.recv(4096).startswith(b"HTTP/1.1") else "lost"
        except OSError:
            return "lost"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told to take no new connections")
@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_a_stop_refuses_or_answers_and_loses_nobody(instance: Path, worker_class: str) -> None:
    found: Counter[str] = Counter()
    with gunicorn(instance, "-w", "2", "-k", worker_class, application=WORK) as server:
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                outcome = asked_by_post(server.port)
                found[outcome] += 1
                time.sleep(0.002 * (outcome == "refused"))

        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(ask)
            time.sleep(0.7)
            server.process.terminate()
            assert server.end() == 0
            time.sleep(0.1)
            is_over.set()
    assert found["answered"] > 50, found
    assert found["refused"], found
    assert not found["lost"], found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told to take no new connections")
def test_who_waits_for_a_thread_is_answered_before_a_stop(instance: Path) -> None:
    with gunicorn(instance, "-w", "1", "--threads", "2", application=WORK) as server, ThreadPoolExecutor(8) as pool:
        waiting = [
            pool.submit(urllib.request.urlopen, f"http://127.0.0.1:{server.port}/wait/500", timeout=20)
            for _ in range(8)
        ]
        time.sleep(0.25)
        server.process.terminate()
        assert [answer.result().status for answer in waiting] == [200] * 8
        assert server.end() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told to take no new connections")
@pytest.mark.parametrize("worker_class", ["gthread", "gevent", "sync"])
def test_who_has_just_connected_is_heard_and_answered_in_full_during_a_stop(instance: Path, worker_class: str) -> None:
    """As a proxy on a busy machine: connected, and its request comes a moment later, in several packets."""
    with (
        gunicorn(instance, "-w", "1", WORKER_CLASS=worker_class, application=WORK) as server,
        socket.socket() as client,
    ):
        client.settimeout(10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        server.process.terminate()
        time.sleep(0.2)
        for part in (
            b"GET /static/vendor/pico-2.1.1/pico.min.css HTTP/1.1\r\nHost: ",
            b"x\r\nConnection: close\r\n",
            b"\r\n",
        ):
            client.sendall(part)
            time.sleep(0.05)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        assert f"Content-Length: {len(body)}".encode() in head
        assert len(body) > 50_000
        assert server.end() == 0


class ElsewhereMade(socket.socket):
    def getsockopt(self, *_: int) -> int:  # type: ignore[override]
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")


def test_a_kernel_that_knows_no_such_limit_changes_nothing() -> None:
    with ElsewhereMade() as connection:
        closing.let_go_on(connection)
        assert not closing.takes_no_new_connections(connection)
