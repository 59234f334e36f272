"""Which workers live: each holds a lock under its name, which ends with it, whatever way it ends."""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select

from app.extensions import db
from app.platform.locks import FileLock, Lock, PostgresLock, advisory_key

LEASE = 15.0  # s after which a machine that hangs counts as dead
FORGOTTEN = 3600.0  # s after which nobody asks for the pulse of one that was killed


class Sign:
    """In PostgreSQL, or in a file of the machine, but never in Redis: workers on one SQLite file are on one machine.

    With each lock comes a new name: what belongs to a name that was lost stays somebody else's.
    """

    def __init__(self, instance: str) -> None:
        self._folder = Path(instance, "run")
        self._in_postgres = db.engine.dialect.name == "postgresql"
        self._pulse = self._folder / f"worker-{socket.gethostname()}-{os.getpid()}.alive"
        self.name = ""
        self._lock: Lock | None = None

    def is_given(self) -> bool:
        """Gives it where it is not yet. False: not now, and others may take what we had."""
        if self._lock:
            return True
        name = secrets.token_hex(8)
        lock = PostgresLock(f"worker-{name}", LEASE) if self._in_postgres else FileLock(self._file(name))
        if lock.acquire() is None:
            return False
        self.name, self._lock = name, lock
        return True

    def renew(self) -> bool:
        if self._lock and not self._lock.renew():
            self._lock = None
        return self._lock is not None

    def show_pulse(self) -> None:
        """For who watches from outside (scripts/healthy.py): the file is as old as the last turn that went well."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._pulse.touch()

    def take_away(self) -> None:
        with contextlib.suppress(OSError):
            self._pulse.unlink()
        if self._lock:
            self._lock.release()
            with contextlib.suppress(OSError):
                self._file(self.name).unlink()

    def dead_among(self, names: Sequence[str]) -> list[str]:
        """Asks for all of them with one statement, on a connection that is there."""
        if not self._in_postgres:
            return [name for name in names if self._is_free(self._file(name))]
        if not names:
            return []
        locks = [func.pg_try_advisory_xact_lock(advisory_key(f"worker-{name}")) for name in names]
        taken = db.session.execute(select(*locks)).one()
        db.session.rollback()
        return [name for name, was_free in zip(names, taken, strict=True) if was_free]

    def clean_up(self) -> None:
        """Files of workers that were killed."""
        for file in self._folder.glob("worker-*.lock"):
            if file != self._file(self.name) and self._is_free(file):
                with contextlib.suppress(OSError):
                    file.unlink()
        for file in self._folder.glob("worker-*.alive"):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > FORGOTTEN:
                    file.unlink()

    def _file(self, name: str) -> Path:
        return self._folder / f"worker-{name}.lock"

    @staticmethod
    def _is_free(file: Path) -> bool:
        lock = FileLock(file)
        is_free = lock.acquire() is not None
        lock.release()
        return is_free
