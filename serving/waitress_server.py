"""Waitress on every core, on Linux and Windows alike: a parent opens one socket and keeps N processes serving on it.

The parent never creates the application, so that it survives whatever the application does.
"""

import argparse
import contextlib
import errno
import logging
import math
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from app.platform import health, logs
from config import ConfigError, load_config
from serving import companions, introduction, metrics_folder
from serving.back_off import BackOff
from serving.companions import Companion
from serving.leash import take_stdin
from serving.sizing import worker_count
from serving.waitress_process import BACKLOG, DRAIN_SECONDS, PROJECT, Child

logger = logging.getLogger("groundwork.waitress")


def main() -> int:
    """What ``python wsgi.py`` does: prepare, unless the start script has, and serve with the settings in force."""
    parser = argparse.ArgumentParser(prog="wsgi.py", description="Serve the application with Waitress.")
    parser.add_argument("--prepared", action="store_true", help="the checks and the migrations are done")
    parser.add_argument("--pid", type=Path, metavar="FILE", help="write this process's number there while it serves")
    parser.add_argument("--leash", action="store_true", help="drain and leave when standard input ends")
    options = parser.parse_args()
    leash = take_stdin() if options.leash else None
    try:
        settings = load_config()
    except ConfigError as error:
        sys.exit(str(error))
    if not options.prepared:
        # In a process of its own, because it creates the application. It prints what is wrong.
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "prepare"]
        if subprocess.run(command, cwd=PROJECT, stdout=subprocess.DEVNULL, check=False).returncode:
            return 1
    logs.configure(settings)
    beside, memory = companions.wanted(settings, "wsgi:app")
    processes = settings.WORKERS or worker_count(beside=memory)
    logger.info(introduction(settings, f"Waitress with {processes} processes x {settings.THREADS} threads"))
    metrics_folder.make_folder(settings.INSTANCE_PATH)
    health.drain_mark(settings.INSTANCE_PATH, os.getpid()).unlink(missing_ok=True)  # of a server with the same number
    try:
        if options.pid:
            options.pid.write_text(f"{os.getpid()}\n", encoding="ascii")
        return serve(
            "wsgi:app",
            host=settings.HOST,
            port=settings.PORT,
            processes=processes,
            threads=settings.THREADS,
            on_process_end=metrics_folder.worker_is_gone,
            beside=beside,
            leash=leash,
        )
    finally:
        metrics_folder.remove_folder()
        if options.pid:
            options.pid.unlink(missing_ok=True)


def serve(
    application: str,
    *,
    host: str,
    port: int,
    processes: int,
    threads: int,
    on_process_end: Callable[[int, str], None] = lambda pid, reason: None,
    beside: Sequence[Companion] = (),
    leash: IO[bytes] | None = None,
) -> int:
    """Serve ``application`` ("wsgi:app") until Ctrl-C, SIGTERM or the end of ``leash``, then drain. Returns the code.

    0: stopped and drained. 1: the address could not be opened, the application could not boot, or the draining was cut
    short by a second signal or after 35 s.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        listener = open_listener(host, port)
    except OSError as error:
        logger.error("can not serve on %s port %s: %s", host, port, remedy(error))
        return 1
    with listener:
        parent = Parent(application, listener, processes, threads, on_process_end, beside)
        if leash:
            threading.Thread(target=parent.stop_at_end_of, args=(leash,), daemon=True).start()
        return parent.run()


def open_listener(host: str, port: int) -> socket.socket:
    """Bind and listen here, so that a port in use is found out once and not by every child."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":  # there REUSEADDR would let any program steal the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def remedy(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "HOST is not an address of this machine (a unix socket needs Gunicorn)"
    if isinstance(error, PermissionError):
        return "not permitted; set PORT to a free port above 1023"
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the program that uses it, or set PORT to a free one"
    return error.strerror or str(error)


class Parent:
    """Keeps ``processes`` children serving. The first boots alone, so that a broken application complains only once."""

    def __init__(
        self,
        application: str,
        listener: socket.socket,
        processes: int,
        threads: int,
        on_process_end: Callable[[int, str], None],
        beside: Sequence[Companion],
    ) -> None:
        self.application, self.listener, self.processes, self.threads = application, listener, processes, threads
        self.on_process_end, self.beside = on_process_end, beside
        self.events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()  # put() is safe in a signal handler
        self.children: list[Child] = []
        self.vacant: deque[Child | None] = deque([None])  # places to fill, each with the dead child that held it
        self.back_off = BackOff(first=1.0, longest=5.0)
        self.fill_after = 0.0
        self.kill_after = math.inf
        self.has_served = self.stopping = False
        self.exit_code = 0

    def run(self) -> int:
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # SIGBREAK: Ctrl-Break and a closed console on Windows
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, frame: self.events.put(self.stop))
        while self.vacant or self.children or not all(companion.is_gone() for companion in self.beside):
            while self.vacant and time.monotonic() >= self.fill_after:
                self.spawn(self.vacant.popleft())
            if time.monotonic() > self.kill_after:
                self.kill()
            for companion in self.beside if self.has_served else ():
                companion.watch(lambda pid: self.on_process_end(pid, ""))
            with contextlib.suppress(queue.Empty):
                self.events.get(timeout=0.2)()  # bounded: on Windows a Ctrl-C is only seen between two waits
        return self.exit_code

    def stop_at_end_of(self, leash: IO[bytes]) -> None:
        leash.read(1)
        self.events.put(self.stop)

    def spawn(self, predecessor: Child | None) -> None:
        child = Child(self.application, self.threads, self.listener)
        self.children.append(child)
        threading.Thread(target=self.attend, args=(child,), daemon=True).start()
        if predecessor:
            code = predecessor.process.returncode
            logger.warning("process %s ended with code %s, process %s replaces it", predecessor.pid, code, child.pid)

    def attend(self, child: Child) -> None:
        child.attend(self.listener, on_ready=lambda: self.events.put(self.on_ready))
        self.events.put(lambda: self.on_end(child))

    def on_ready(self) -> None:
        if self.has_served or self.stopping:
            return
        self.has_served = True
        self.vacant.extend([None] * (self.processes - 1))
        host, port = self.listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        shape = f"{self.processes} processes x {self.threads} threads"
        logger.info("serving on http://%s with Waitress, %s, pid %s", address, shape, os.getpid())

    def on_end(self, child: Child) -> None:
        self.children.remove(child)
        child.release()
        self.on_process_end(child.pid, "unexpected" if child.process.returncode else "stopped")
        if self.stopping:
            return
        if not self.has_served:
            logger.error("the application did not start: its process ended with code %s", child.process.returncode)
            self.exit_code = 1
            self.stop()
            return
        now = time.monotonic()
        self.fill_after = now + self.back_off.after(life=now - child.started)
        self.vacant.append(child)

    def stop(self) -> None:
        """Drain; asked a second time, kill."""
        if self.stopping:
            self.kill()
            return
        self.stopping = True
        self.kill_after = time.monotonic() + DRAIN_SECONDS + 5
        self.vacant.clear()
        self.listener.close()  # or who comes now would wait for the end of the draining, and be reset
        for child in self.children:
            child.release()
        for companion in self.beside:
            companion.release()

    def kill(self) -> None:
        self.exit_code = 1
        for child in self.children:
            child.process.kill()
        for companion in self.beside:
            companion.kill()
