"""Processes beside the web workers: their parent starts them, replaces them, and ends them.

One does jobs, one answers METRICS_PORT. Each is on a leash: its stdin, whose end means "finish what you do and leave".
So it works on Windows too, and they leave when the parent is killed. They are no forks of the parent's: what they
import and hold is nothing that web workers should share, and under gevent they run on real threads.

python -m serving.companions wsgi:app      the one for jobs, beside a server whose parent is not ours, such as uWSGI
"""

import contextlib
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config import Config, ConfigError, load_config
from serving.back_off import BackOff
from serving.sizing import MIB

PROJECT = Path(__file__).resolve().parents[1]
JOBS = PROJECT / "app" / "extras" / "worker"  # which may have been deleted
JOBS_MEMORY = 112 * MIB  # 78 MiB resident at rest, with room for what jobs hold
METRICS_MEMORY = 64 * MIB  # 55 MiB measured
LONGEST_BACK_OFF = 30.0  # seconds

_log = logging.getLogger("groundwork.companions")


class Companion:
    def __init__(self, does: str, arguments: list[str], patience: float) -> None:
        """`does`: for the log. `arguments` of Python. `patience`: seconds for its end."""
        self._does, self._arguments, self._patience = does, arguments, patience
        self._options: dict[str, Any] = {}
        # In a group of its own a Ctrl-C in the terminal does not interrupt it: the parent decides.
        if sys.platform == "win32":
            self._options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        else:
            self._options["process_group"] = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._start_after = 0.0
        self._back_off = BackOff(first=2.0, longest=LONGEST_BACK_OFF)
        self._kill_after = math.inf
        self._released = False

    def become(self, user: int, group: int) -> None:
        """Whose process it is, where the parent is root and its workers are not."""
        self._options |= {"user": user, "group": group}

    def watch(self, on_end: Callable[[int], None]) -> None:
        """To be called about once a second: starts it, and a new one in the place of one that has ended."""
        if self._released or self._is_running():
            return
        now = time.monotonic()
        if self._process:
            code = self._process.returncode
            how = "ended" if code is None else f"ended with code {code}"
            _log.warning("the process that %s, %s, %s", self._does, self._process.pid, how)
            on_end(self._process.pid)
            self.let_go()
            self._process = None
            self._start_after = now + self._back_off.after(life=now - self._started)
        if now >= self._start_after:
            self._started = now
            command = [sys.executable, *self._arguments]
            try:
                self._process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, **self._options)
            except OSError as error:  # no memory or no process number left: the site goes on without it for a while
                self._start_after = now + LONGEST_BACK_OFF
                _log.error("the process that %s can not be started: %s", self._does, error)

    def _is_running(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        if sys.platform == "win32":
            return True
        # Gunicorn reaps every child of its. The system's Popen notices that; the one that gevent puts there never does.
        try:
            os.kill(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def let_go(self) -> None:
        """Of this process' end of the leash: a forked worker has one too, which must not outlast the parent's."""
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def release(self) -> None:
        """It finishes what it does and leaves."""
        if not self._released:
            self._released = True
            self._kill_after = time.monotonic() + self._patience
            self.let_go()

    def is_gone(self) -> bool:
        """After release(). Killed once its time is up."""
        if time.monotonic() > self._kill_after:
            self.kill()
        return not self._is_running()

    def kill(self) -> None:
        if self._process and self._is_running():
            with contextlib.suppress(ProcessLookupError):  # since then
                self._process.kill()


def for_jobs(settings: Config, application: str) -> list[Companion]:
    """One or none."""
    if settings.JOBS != "embedded" or not JOBS.is_dir():
        return []
    command = ["-m", "serving.leash", "flask", "--app", application, "worker"]
    return [Companion("does jobs", command, patience=35)]  # running jobs get 30


def wanted(settings: Config, application: str) -> tuple[list[Companion], int]:
    """Those of a server, and the bytes that they need. `application` as Gunicorn and Flask name it: "wsgi:app"."""
    found = for_jobs(settings, application)
    memory = JOBS_MEMORY * len(found)
    if settings.METRICS_PORT:
        command = ["-m", "serving.metrics_port", settings.METRICS_PORT]
        found.append(Companion("answers METRICS_PORT", command, patience=5))
        memory += METRICS_MEMORY
    return found, memory


def accompany(arbiter: Any, companions: list[Companion], on_end: Callable[[int], None]) -> None:
    """Ties them to a Gunicorn master, which has no hooks for the turns of its loop and the begin of its end."""
    manage_workers, stop, cfg = arbiter.manage_workers, arbiter.stop, arbiter.cfg
    for companion in companions:
        os.register_at_fork(after_in_child=companion.let_go)
        if os.geteuid() == 0 != cfg.uid:
            companion.become(cfg.uid, cfg.gid)

    def manage_all() -> None:
        manage_workers()
        for companion in companions:
            companion.watch(on_end)

    def stop_all(graceful: bool = True) -> None:
        for companion in companions:
            companion.release()
        stop(graceful)
        for companion in companions:
            if not graceful:
                companion.kill()
            while not companion.is_gone():
                time.sleep(0.05)
                if not arbiter.SIG_QUEUE.empty() and arbiter.SIG_QUEUE.get() in (signal.SIGINT, signal.SIGQUIT):
                    companion.kill()  # asked a second time

    arbiter.manage_workers, arbiter.stop = manage_all, stop_all


def main(application: str) -> None:
    """Until SIGTERM, SIGINT, or the end of who started it. Where there is nothing to do it waits for that."""
    parent, asked = os.getppid(), list[int]()  # no Event: its lock is none for a signal handler
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        companions = for_jobs(load_config(), application)
    except ConfigError as error:  # the server says so, too, and stops
        sys.exit(str(error))
    while not asked and os.getppid() == parent:
        for companion in companions:
            companion.watch(lambda pid: None)
        time.sleep(0.2)
    for companion in companions:
        companion.release()
    while not all(companion.is_gone() for companion in companions):
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
