"""One serving process of ``waitress_server.py``, seen from both ends of its leash.

The leash is the child's stdin: it brings the listening socket, and its end means "drain and leave". So it works on
Windows, where no signal asks a process to finish its requests first, and a killed parent leaves no process behind.
"""

import base64
import contextlib
import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from config import ConfigError
from serving import begin, streams
from serving.leash import take_stdin
from serving.waitress_parser import StrictRequestParser

if sys.platform == "win32":
    import msvcrt
else:
    import resource

PROJECT = Path(__file__).resolve().parents[1]  # where a child finds the `app` package
BACKLOG = 2048  # connections that wait to be accepted
DRAIN_SECONDS = 30
CAN_NOT_BOOT = 3  # the exit code of Gunicorn's workers in that case
WINDOWS = sys.platform == "win32"

draining = threading.Event()


class Child:
    """A serving process as its parent sees it."""

    def __init__(self, application: str, threads: int, listener: socket.socket) -> None:
        self.started = time.monotonic()
        self.report, told = os.pipe()  # a pipe of its own: stdout and stderr belong to the application's log
        command = [sys.executable, "-m", __name__, application, str(threads)]
        # In a group of its own a Ctrl-C in the terminal does not interrupt it, not even while it boots.
        if sys.platform == "win32":
            handle = msvcrt.get_osfhandle(told)
            os.set_handle_inheritable(handle, True)
            self.process = subprocess.Popen(
                [*command, str(handle)],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                startupinfo=subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]}),
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
            )
        else:
            self.process = subprocess.Popen(
                [*command, str(told)],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                pass_fds=(told, listener.fileno()),
                process_group=0,
            )
        os.close(told)
        self.leash = cast(IO[bytes], self.process.stdin)
        # The child's own word, awaited in attend(): a Windows venv starts Python through a launcher with another pid.
        self.pid = self.process.pid

    def attend(self, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        """Hand the listener over, tell when the child serves, and return when it is gone."""
        with contextlib.suppress(OSError, ValueError), open(self.report) as lines:  # it may die at any moment
            self.pid = int(lines.readline())
            self.send(share(listener, self.pid))
            if lines.readline() == "ready\n":
                on_ready()
        self.process.wait()

    def send(self, line: bytes) -> None:
        self.leash.write(line + b"\n")
        self.leash.flush()

    def release(self) -> None:
        """Let go of the leash."""
        with contextlib.suppress(OSError):
            self.leash.close()


def share(listener: socket.socket, pid: int) -> bytes:
    """What the process ``pid`` needs to adopt the listener, as one line without its end."""
    if sys.platform == "win32":
        return base64.b64encode(listener.share(pid))
    return str(listener.fileno()).encode()


def adopt(line: bytes) -> socket.socket:
    if sys.platform == "win32":
        return socket.fromshare(base64.b64decode(line))
    listener = socket.socket(fileno=int(line))
    listener.set_inheritable(False)
    return listener


class Task(WSGITask):  # type: ignore[misc]  # Waitress is not typed
    """Answers a request; while draining it also tells the client that the connection ends."""

    def build_response_header(self) -> bytes:
        if draining.is_set():
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header


class Connection(HTTPChannel):  # type: ignore[misc]
    parser_class = StrictRequestParser
    task_class = Task

    def is_idle(self) -> bool:
        """Nothing asked, nothing left to send, and time enough for a request that was already on its way."""
        uploading = self.request is not None and self.request.headers_finished
        quiet = time.time() - self.last_activity > 0.5
        return quiet and not (self.requests or self.total_outbufs_len or uploading)


def main(application: str, threads: str, report: str) -> int:
    """Serve until the leash ends. ``report`` is the pipe that tells the parent the pid, then "ready"."""
    for name in ("SIGINT", "SIGBREAK"):  # Windows sends the second to every process of the console; the parent decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: draining.set())
    leash = take_stdin()
    with open_report(int(report)) as parent:
        print(os.getpid(), file=parent, flush=True)
        line = leash.readline()
        if not line:
            return 0
        listener = adopt(line)
        try:
            app = load(application)
        except (ConfigError, SystemExit) as refusal:  # these texts are written for the person who starts the server
            sys.stderr.write(f"{refusal}\n")
            return CAN_NOT_BOOT
        except Exception:
            traceback.print_exc()
            return CAN_NOT_BOOT
        connections: dict[int, Any] = {}
        server = make_server(app, listener, int(threads), connections)
        threading.Thread(target=drain_at_end_of, args=(leash,), daemon=True).start()
        begin(app, listener.getsockname()[1], is_ending=draining.is_set, streams=streams.room(int(threads)))
        print("ready", file=parent)
    while not draining.is_set():
        turn(connections)
    drain(server, connections)
    return 0


def open_report(number: int) -> IO[str]:
    if sys.platform == "win32":
        os.set_handle_inheritable(number, False)
        number = msvcrt.open_osfhandle(number, os.O_WRONLY)
    else:
        os.set_inheritable(number, False)
    return open(number, "w")


def drain_at_end_of(leash: IO[bytes]) -> None:
    leash.read(1)
    draining.set()


def load(application: str) -> Any:
    module, _, name = application.partition(":")
    return getattr(importlib.import_module(module), name or "application")


def make_server(app: Any, listener: socket.socket, threads: int, connections: dict[int, Any]) -> Any:
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is load, not news
    allow_open_files(4096)
    body_limit = getattr(app, "config", {}).get("MAX_CONTENT_LENGTH") or 1 << 30
    server = create_server(
        app,
        map=connections,
        sockets=[listener],
        threads=threads,
        backlog=BACKLOG,
        asyncore_use_poll=not WINDOWS,
        connection_limit=400 if WINDOWS else 1000,  # select() on Windows ends at 512
        channel_timeout=30,
        cleanup_interval=5,
        max_request_header_size=65536,
        # Flask answers a body that is a little too large with its own 413 page; a larger one is not even stored.
        max_request_body_size=body_limit + 65536,
        clear_untrusted_proxy_headers=False,  # the gateway decides whom to trust
        ident=None,
    )
    server.channel_class = Connection
    from serving import thread_waits  # not above: it imports the application

    thread_waits.note_those_of(server)
    return server


def allow_open_files(wanted: int) -> None:
    """1000 connections and the application's own files do not fit under the usual soft limit of 1024."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))


def turn(connections: dict[int, Any]) -> None:
    wasyncore.loop(timeout=0.5, use_poll=not WINDOWS, map=connections, count=1)


def drain(server: Any, connections: dict[int, Any]) -> None:
    """Accept no more, answer what was asked, close idle connections; wait at most 30 s for the rest."""
    deadline = time.monotonic() + DRAIN_SECONDS
    wasyncore.dispatcher.close(server)  # not server.close(): running tasks still need its trigger
    while server.active_channels and time.monotonic() < deadline:
        for connection in list(server.active_channels.values()):
            connection.will_close = connection.will_close or connection.is_idle()
        turn(connections)
    server.task_dispatcher.shutdown(timeout=max(0.0, deadline - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
