"""Keeps one registration for all processes that serve a port of this machine, whichever of them live or die.

Each of them runs a thread of this. One holds the lock, registers and sends the heartbeats. When it dies, the kernel
frees the lock, and another one goes on: callers notice nothing. Who leaves as the last one deregisters, so that neither
a worker that is replaced nor a master that hands over (USR2) takes the service off.
"""

import atexit
import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import portalocker
from flask import Flask

from app.extras.registry.nacos import Instance, Nacos, NacosError, UnknownInstanceError
from app.platform import health
from app.platform.locks import FileLock
from app.platform.version import version
from config import Config

TICK = 0.25  # s between two looks at who serves
BEAT = 5.0  # s, as Nacos' own clients; also the longest wait after a failure, so that a return is seen soon
GOODBYE = 0.8  # s for each step of the deregistration, and a little more in all at an exit
_log = logging.getLogger("groundwork.registry")


class Presence:
    """Shared by all processes that serve; the last one to leave is told so, and others come in after it has closed.

    On Windows there are no such locks without a further package. There no server hands over to another: all of its
    processes leave together, and any of them may take itself for the last one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.entered = False

    def enter(self) -> bool:
        self.entered = self.entered or self._lock(portalocker.LockFlags.SHARED)
        return self.entered

    def leave(self) -> bool:
        """True: nobody else serves, and nobody begins to before close()."""
        self.close()
        return self._lock(portalocker.LockFlags.EXCLUSIVE)

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file, self.entered = None, False

    def _lock(self, kind: portalocker.LockFlags) -> bool:
        if sys.platform == "win32":
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a", encoding="ascii")
        try:
            portalocker.lock(file, kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            file.close()
            return False
        self._file = file
        return True


class Registration:
    """`is_ending`: this process has been told to leave. `is_recycled`: it leaves, and the server puts another in."""

    def __init__(
        self,
        app: Flask,
        nacos: Nacos,
        describe: Callable[[], Instance],
        port: int,
        is_ending: Callable[[], bool],
        is_recycled: Callable[[], bool],
    ) -> None:
        settings: Config = app.extensions["settings"]
        self._nacos, self._describe, self._folder = nacos, describe, settings.INSTANCE_PATH
        self._is_ready = health.Readiness(app, settings, version())
        self._is_ending, self._is_recycled = is_ending, is_recycled
        # Machines may share the folder, and each has its own registration.
        name = f"registry-{socket.gethostname()}-{port}"
        self._lock, self._presence = (
            FileLock(self._folder / "run" / f"{name}.lock"),
            Presence(self._folder / "run" / f"{name}.present"),
        )
        self._instance: Instance | None = None  # that we have registered
        self._exit, self._ended = threading.Event(), threading.Event()
        self._next, self._failures, self._complaint = 0.0, 0, ""

    def start(self) -> None:
        atexit.register(self._at_exit)
        threading.Thread(target=self._run, name="registry", daemon=True).start()

    def _at_exit(self) -> None:
        self._exit.set()
        self._ended.wait(GOODBYE + TICK)

    def _run(self) -> None:
        leaving = False
        while not (leaving and self._exit.is_set()):
            try:
                leaving = self._exit.is_set() or self._is_ending() or health.draining(self._folder)
                if leaving:
                    self._leave()
                elif self._presence.enter() and self._holds_lock() and time.monotonic() >= self._next:
                    self._keep_registered()
            except Exception as error:  # the thread must live: nothing else brings the registration back
                self._note_failure(f"{type(error).__name__}: {error}")
            self._exit.wait(0 if leaving and self._exit.is_set() else TICK)
        self._ended.set()

    def _holds_lock(self) -> bool:
        return self._lock.renew() or self._lock.acquire() is not None

    def _keep_registered(self) -> None:
        try:
            if self._instance:
                self._nacos.beat(self._instance)
            else:
                self._register()
        except UnknownInstanceError:
            self._instance, self._next = None, 0.0  # at the next tick
            return
        except (NacosError, OSError) as error:
            self._note_failure(str(error))
            return
        self._next, self._failures = time.monotonic() + BEAT, 0
        if self._complaint:
            _log.info("Nacos answers again")
            self._complaint = ""

    def _register(self) -> None:
        if not self._is_ready({})[0].startswith("200"):
            raise NacosError("this server is not ready yet")
        instance = self._describe()
        self._nacos.register(instance)
        self._instance = instance
        _log.info("registered with Nacos: %s is at %s:%s", instance.service, instance.ip, instance.port)

    def _note_failure(self, text: str) -> None:
        self._failures += 1
        delay = min(0.5 * 2**self._failures, BEAT) * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._next = time.monotonic() + delay
        if text != self._complaint:  # said once, not every few seconds
            _log.warning("not registered, or no heartbeat, with Nacos: %s. Tried again until it works.", text)
        self._complaint = text

    def _leave(self) -> None:
        if not self._presence.entered:
            return
        self._lock.release()
        mine, self._instance = self._instance, None
        recycled = self._is_recycled() and not health.draining(self._folder)
        try:
            if self._presence.leave() and not recycled:
                instance = mine or self._describe()
                self._nacos.deregister(instance, GOODBYE)
                _log.info("deregistered from Nacos: %s at %s:%s", instance.service, instance.ip, instance.port)
        except (NacosError, OSError) as error:
            _log.warning("not deregistered from Nacos, which forgets this server within 30 s: %s", error)
        finally:
            self._presence.close()
