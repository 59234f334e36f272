"""Only one of all processes and machines does this: a lock in PostgreSQL, in Redis, or in a file of this machine.

It ends with who holds it, whatever way that process dies, and with its lease when a machine hangs and renews no more.
Each holding has a number, higher than that of the one before (a fence): whoever writes where an earlier holder may
still be writing passes it on, and what is written to refuses a lower one.
https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
"""

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import IO, Any, Protocol

import portalocker
from flask import current_app
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from app.extensions import db
from app.platform.database import HOST_IS_GONE
from config import Config

_log = logging.getLogger("groundwork.locks")
_DIGITS = 20


class Lock(Protocol):
    """For one thread, which holds it or not."""

    def acquire(self) -> int | None:
        """The fence; None while another holds it, and while the store does not answer. Never waits.

        Of a lock that one holds already: the same fence.
        """

    def renew(self) -> bool:
        """Ask for it a few times in each lease. False: it is lost, and another may hold it."""

    def release(self) -> None:
        """Also of a lock that is not held, or lost."""


def lock(name: str, lease: float = 15) -> Lock:
    """`name` is one lock for all that share a database or a Redis; `lease` is in seconds. Needs an app context.

    In PostgreSQL where that is the database, else in Redis where there is one, else in a file.
    """
    settings: Config = current_app.extensions["settings"]
    if db.engine.dialect.name == "postgresql":
        return PostgresLock(name, lease)
    if settings.REDIS_URL:
        return RedisLock(settings.REDIS_URL, settings.slug, name, lease)
    return FileLock(settings.INSTANCE_PATH / "run" / f"{name}.lock")


class FileLock:
    """The kernel holds it for the process, so that there is no lease to renew. The file keeps the number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._fence = 0

    def acquire(self) -> int | None:
        if self._file:
            return self._fence
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            _log.warning("no lock %s: %s", self._path, error)
            return None
        file = os.fdopen(descriptor, "r+", encoding="ascii", errors="replace")
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            if os.fstat(file.fileno()).st_ino != self._path.stat().st_ino:
                raise FileNotFoundError(self._path)  # it was removed between our two steps
            self._fence = _next_number(file)
        except (portalocker.LockException, OSError, ValueError):
            file.close()
            return None
        self._file = file
        return self._fence

    def renew(self) -> bool:
        return self._file is not None

    def release(self) -> None:
        if self._file:
            self._file.close()
        self._file = None


def _next_number(file: IO[str]) -> int:
    """Written over the one before in a single step, so that a process that is killed leaves one of the two there."""
    text = file.read(_DIGITS)
    damaged = text and not text.isdecimal()  # by a power cut; the seconds since 1970 are more than any count
    number = int(time.time()) if damaged else int(text or 0) + 1
    file.seek(0)
    file.write(f"{number:0{_DIGITS}}")
    file.flush()
    return number


def advisory_key(name: str) -> Any:
    return func.hashtextextended(f"groundwork:{name}", 0)


class PostgresLock:
    """A transaction that stays open and does nothing: its end, whatever way, is the end of the lock.

    So it works through PgBouncer's transaction pooling, where a session's lock would stay with a pooled connection. It
    has no number of its own (xid), so that no clean-up waits for it.
    """

    def __init__(self, name: str, lease: float) -> None:
        self._name, self._lease = name, lease
        arguments = {"connect_timeout": 2, "prepare_threshold": None, **HOST_IS_GONE}
        self._engine = create_engine(db.engine.url, poolclass=NullPool, connect_args=arguments)
        self._connection: Connection | None = None
        self._number = 0

    def acquire(self) -> int | None:
        if self.renew():
            return self._number
        try:
            self._connection = self._engine.connect()
            # An idle session that is not renewed is ended by the server.
            for limit in ("idle_in_transaction_session_timeout", "statement_timeout"):
                self._connection.execute(text(f"SET LOCAL {limit} = {round(self._lease * 1000)}"))
            if self._connection.scalar(select(func.pg_try_advisory_xact_lock(advisory_key(self._name)))):
                with self._engine.connect() as other:
                    self._number = int(other.scalar(text("SELECT txid_current()")) or 0)
                if self.renew():  # it took its time, and may be lost by now to one with a lower number
                    return self._number
        except SQLAlchemyError as error:
            _log.warning("no lock %s: %s", self._name, error)
        self.release()
        return None

    def renew(self) -> bool:
        try:
            return self._connection is not None and self._connection.scalar(text("SELECT 1")) == 1
        except SQLAlchemyError as error:
            _log.warning("lost the lock %s: %s", self._name, error)
            self.release()
            return False

    def release(self) -> None:
        if self._connection:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
        self._connection = None


class RedisLock:
    """A key that expires. A Redis that is emptied or fails over forgets it, and two may hold it: the fence tells."""

    def __init__(self, url: str, slug: str, name: str, lease: float) -> None:
        import redis  # 12 MiB and 0.2 s
        from redis.exceptions import LockError

        self._client: Any = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._lock = self._client.lock(f"{slug}:lock:{name}", timeout=lease, thread_local=False)
        self._fence = f"{slug}:fence:{name}"
        self._error, self._lost = redis.RedisError, LockError
        self._lease, self._until, self._number = lease, 0.0, 0

    def acquire(self) -> int | None:
        if self._until and self.renew():
            return self._number
        try:
            if self._lock.acquire(blocking=False):
                self._number = int(self._client.incr(self._fence))
                if self.renew():  # it took its time, and may be lost by now to one with a lower number
                    return self._number
        except self._error as error:
            _log.warning("no lock %s: %s", self._lock.name, error)
        return None

    def renew(self) -> bool:
        asked = time.monotonic()
        try:
            self._lock.reacquire()
            self._until = asked + self._lease
        except self._error as error:  # it is ours until it has expired there
            if isinstance(error, self._lost):
                self._until = 0.0
        return asked < self._until

    def release(self) -> None:
        self._until = 0.0
        with contextlib.suppress(self._error):
            self._lock.release()
        self._client.close()
