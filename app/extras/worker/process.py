"""The process that does the jobs: `flask worker`, or beside the web workers. Any number of them, on any machine."""

import contextlib
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.extras.worker import work
from app.extras.worker.alive import Sign
from app.extras.worker.queue import Claimed, Queue, Ticks

THREADS = 4
IDLE = 0.25  # s between two looks at the queue
SWEEP = 1.0  # s between two looks for workers that are dead
CLEAN_UP = 600.0  # s
OTHERS_TOO = 5.0  # s after a lost lock in which others, who lost theirs with it, may say what they still do
GRACE = 30.0  # s for running jobs at a stop
_log = logging.getLogger("groundwork.jobs")


class Worker:
    def __init__(self, app: Flask) -> None:
        self._app = app
        self._queue: Queue = app.extensions["queue"]
        self._is_stopping = False  # no Event: its lock is none for a signal handler
        self._has_room = threading.Event()  # a job has ended
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="job")
        self._running: dict[str, tuple[Claimed, float]] = {}  # since when
        self._overdue: set[str] = set()
        self._ticks: list[Ticks] | None = None
        self._looked = self._cleaned = 0.0
        self._name, self._patient_until = "", 0.0

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then waits for the jobs that run."""
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if number := getattr(signal, name, None):
                signal.signal(number, self.stop)
        with self._app.app_context():
            self._app.extensions["tell_progress"] = work.tell_progress
            self._sign = Sign(self._app.instance_path)
            while not self._is_stopping:
                pause = IDLE
                try:
                    if self._turn():
                        continue
                except Exception as error:  # nothing that one turn meets is a reason to end: the next one may not
                    db.session.rollback()
                    known = isinstance(error, SQLAlchemyError)
                    reason = str(error).partition("\n")[0]
                    _log.warning("the jobs wait for the database: %s", reason, exc_info=not known)
                    pause = 1.0
                self._has_room.wait(pause)
                self._has_room.clear()
            self._end()

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        self._is_stopping = True

    # --- steps of the loop ----------------------------------------------------------------------

    def _turn(self) -> bool:
        """True when there was something to do."""
        now = time.monotonic()
        if not self._is_known_to_live(now):
            return False
        if self._ticks is None:
            self._ticks = self._app.extensions["ticks"]()
            _log.info("worker %s does jobs, pid %s", self._sign.name, os.getpid())
        for ticks in self._ticks:
            ticks.enqueue_due()
        running = list(self._running.values())
        free = 0 if any(job.is_alone for job, _ in running) else THREADS - len(running)
        # Without those that run here: others may have had one back meanwhile.
        found = self._queue.claim(self._sign.name, free, not running, list(self._running)) if free else []
        for job in found:
            self._running[job.id] = job, now
            self._pool.submit(self._do, job)
        if not found and now - self._cleaned > CLEAN_UP:
            self._cleaned = now
            self._queue.clean_up()
            self._sign.clean_up()
        return bool(found)

    def _do(self, job: Claimed) -> None:
        try:
            work.do(self._app, self._queue, job)
        finally:
            self._running.pop(job.id, None)
            self._has_room.set()

    def _is_known_to_live(self, now: float) -> bool:
        """Others take the jobs of who is not."""
        if not self._sign.is_given():
            time.sleep(1 - IDLE)
            return False
        if self._name != self._sign.name:
            self._goes_by_another_name(now)
        if now - self._looked > SWEEP:
            self._looked = now
            if not self._sign.renew():
                return False
            self._look_around(now)
            self._sign.show_pulse()
        return not self._is_stopping

    def _goes_by_another_name(self, now: float) -> None:
        if self._name:
            self._queue.rename(self._name, self._sign.name, [job for job, _ in list(self._running.values())])
            self._patient_until = now + OTHERS_TOO
        self._name = self._sign.name

    def _look_around(self, now: float) -> None:
        if left := self._queue.take_back(self._sign.name, list(self._running)):
            _log.warning("%s jobs are due again: how they ended could not be written down", left)
        others = [name for name in self._queue.owners() if name != self._sign.name]
        db.session.rollback()
        for dead in self._sign.dead_among(others) if now > self._patient_until else []:
            if count := self._queue.take_back(dead, list(self._running)):  # it may be a name that we have lost
                _log.warning("worker %s is dead, its %s jobs are due again", dead, count)
        for job, since in list(self._running.values()):
            if now - since > job.task.limit:
                self._give_up(job)
        if look := self._app.extensions.get("look_for_changes"):  # of the live settings
            look()

    def _give_up(self, job: Claimed) -> None:
        """Nothing ends a thread but the end of its process, which the others that run here may finish before."""
        self._overdue.add(job.id)
        _log.error(
            "%s takes longer than its limit of %g s, job %s: its process ends, and the next one goes on",
            job.task.name, job.task.limit, job.id,
        )  # fmt: skip
        self.stop()

    def _end(self) -> None:
        deadline = time.monotonic() + GRACE
        while set(self._running) - self._overdue and time.monotonic() < deadline:
            self._has_room.wait(0.05)
            self._has_room.clear()
            self._sign.renew()
        left = f"; {len(self._running)} jobs are left to others" if self._running else ""
        _log.info("worker %s ends%s", self._sign.name, left)
        for action in self._app.extensions.get("at_exit", []):
            action()
        if self._running:
            self._leave_to_others()
        self._sign.take_away()
        if not self._running:
            db.engine.dispose()
        logging.shutdown()
        os._exit(1 if self._overdue else 0)  # threads that are not done must not hold the process

    def _leave_to_others(self) -> None:
        """Now, and not when we are found dead: that would count against them."""
        # On SQLite one that hangs within a write unit lets nobody write, and is found by the next worker.
        with contextlib.suppress(SQLAlchemyError, self._queue.NotOursError):
            for job, _ in list(self._running.values()):
                if job.id in self._overdue:
                    self._queue.fail(job, f"It took longer than its limit of {job.task.limit:g} s.")
            self._queue.take_back(self._sign.name, has_died=False)
