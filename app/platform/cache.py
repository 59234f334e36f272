"""The cache: an SQLite file that all workers of this machine share, or Redis for several machines.

A cache must never be the reason for an error: when its store fails, every read is a miss and every
write does nothing, at once. Values are pickles: nobody else may be able to write to the store.
"""

import logging
import pickle
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask_caching.backends.base import BaseCache

from app.extensions import cache
from app.platform.database import use_wal
from app.platform.metrics import counter
from config import Config

REDIS_TIMEOUT = 0.25  # seconds; redis-py's own default of 5 would hold a request that long
MAX_BYTES = 64 * 1024 * 1024  # of the SQLite cache; beyond it the entries that expire first are dropped
COMPUTING = 10  # seconds that others wait for who computes a value; then they compute it themselves
SWEEP = 60.0  # seconds between two clean-ups in one process

_log = logging.getLogger("groundwork.cache")
_READS = counter("cache_reads", "What remembered() found, or had to compute.", "outcome")


def init_app(app: Flask, settings: Config) -> None:
    config: dict[str, Any] = {"CACHE_DEFAULT_TIMEOUT": 300, "CACHE_KEY_PREFIX": f"{settings.slug}:"}
    if settings.REDIS_URL:
        config |= {
            "CACHE_TYPE": "app.platform.redis_cache.SafeRedisCache",  # imported only now: 12 MiB and 0.2 s
            "CACHE_REDIS_URL": settings.REDIS_URL,
            "CACHE_OPTIONS": {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT},
        }
    else:
        config |= {
            "CACHE_TYPE": "app.platform.cache.SqliteCache",
            "CACHE_ARGS": [str(settings.INSTANCE_PATH / "cache.db")],
        }
    cache.init_app(app, config)


def remembered(key: str, seconds: int, compute: Callable[[], Any]) -> Any:
    """`compute()`, for all workers together once in so many seconds; never for None.

    While one computes, the others get the value from before, or wait where there is none: when a key expires under
    200 requests, one of them computes. What is remembered is for everybody: no token, no nonce, nobody's own data.
    """
    name = _name(key)
    lock, give_up = f"{name}:computing", time.monotonic() + COMPUTING
    found = cache.get(name)
    while found is None or found[0] < time.time():
        if cache.add(lock, True, timeout=COMPUTING) or time.monotonic() > give_up:
            return _computed(name, lock, seconds, compute)
        if found is not None:
            break
        if not cache.has(lock):  # the store does not answer, or the one who computed has just ended
            found = cache.get(name)
            if found is None:
                _READS.labels("miss").inc()
                return compute()
            continue
        time.sleep(0.01)
        found = cache.get(name)
    _READS.labels("hit").inc()
    return found[1]


def refresh(key: str, seconds: int, compute: Callable[[], Any]) -> None:
    """Computes now what remembered() gives, before it is out of date."""
    name = _name(key)  # before what is computed, which an edit may make out of date meanwhile
    _keep(name, seconds, compute())


def _name(key: str) -> str:
    # The edition is part of the name, so that what was computed before forget() is never read after it.
    return f"{key}:{cache.get(f'{key}:edition')}"


def _keep(name: str, seconds: int, value: Any) -> None:
    if value is not None:
        cache.set(name, (time.time() + seconds, value), timeout=2 * seconds)


def _computed(name: str, lock: str, seconds: int, compute: Callable[[], Any]) -> Any:
    try:
        found = cache.get(name)  # somebody may have finished between our look and our lock
        if found is not None and found[0] > time.time():
            _READS.labels("hit").inc()
            return found[1]
        _READS.labels("miss").inc()
        value = compute()
        _keep(name, seconds, value)
        return value
    finally:
        cache.delete(lock)


def forget(key: str) -> None:
    """What is remembered under `key` is out of date; to be called after the commit that made it so."""
    # Kept for longer than anything that may be remembered under the name without it.
    cache.set(f"{key}:edition", secrets.token_hex(4), timeout=86400)


def readable(value: bytes) -> Any:
    """The pickled value; None when it is of a class that this release has renamed or removed."""
    try:
        return pickle.loads(value)
    except Exception as error:  # unpickling may raise anything (Python's documentation of UnpicklingError)
        _log.warning("cache: a value of another release can not be read: %r", error)
        return None


class SqliteCache(BaseCache):
    """One table in its own file. 15 µs a read, 50 µs a write, shared by processes (a file per key took 15 ms)."""

    def __init__(self, path: str, default_timeout: int = 300) -> None:
        super().__init__(default_timeout)
        self._path = path
        self._local = threading.local()
        self._next_sweep = 0.0

    @classmethod
    def factory(cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> "SqliteCache":
        return cls(args[0], config["CACHE_DEFAULT_TIMEOUT"])

    def _connection(self) -> sqlite3.Connection:
        # One per thread; a fork starts without any, because the parent only makes one when it reads the cache.
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=1.0, isolation_level=None)
            use_wal(connection)
            connection.execute("PRAGMA synchronous=OFF")  # a cache may be lost with the power
            connection.execute(
                "CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL)"
            )
            self._local.connection = connection
        return connection

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor | None:
        try:
            return self._connection().execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            self._local.connection = None
            _log.warning("cache: %s can not be used: %s", self._path, error)
            return None

    def _expiry(self, timeout: int | timedelta | None) -> float:
        seconds = self._normalize_timeout(timeout)
        return time.time() + seconds if seconds else float("inf")

    def get(self, key: str) -> Any:
        cursor = self._execute("SELECT value FROM cache WHERE key = ? AND expires > ?", key, time.time())
        row = cursor.fetchone() if cursor else None
        return readable(row[0]) if row else None

    def has(self, key: str) -> bool:
        return self.get(key) is not None  # nobody keeps None

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        self._sweep()
        return bool(
            self._execute(
                "INSERT INTO cache VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
                key,
                pickle.dumps(value),
                self._expiry(timeout),
            )
        )

    def add(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Sets the key unless it is there already; of several processes exactly one gets True."""
        cursor = self._execute(
            "INSERT INTO cache VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
            "expires = excluded.expires WHERE cache.expires <= ?",
            key,
            pickle.dumps(value),
            self._expiry(timeout),
            time.time(),
        )
        return bool(cursor and cursor.rowcount == 1)

    def delete(self, key: str) -> bool:
        cursor = self._execute("DELETE FROM cache WHERE key = ?", key)
        return bool(cursor and cursor.rowcount)

    def clear(self) -> bool:
        return self._execute("DELETE FROM cache") is not None

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Adds to a counter that never expires, atomically; None when the store fails."""
        connection = self._execute("BEGIN IMMEDIATE")
        if connection is None:
            return None
        try:
            total: int = (self.get(key) or 0) + delta
            self.set(key, total, 0)
        finally:
            self._execute("COMMIT")
        return total

    def dec(self, key: str, delta: int = 1) -> int | None:
        return self.inc(key, -delta)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP
        self._execute("DELETE FROM cache WHERE expires <= ?", time.time())
        cursor = self._execute("SELECT coalesce(sum(length(value)), 0), count(*) FROM cache")
        size, count = cursor.fetchone() if cursor else (0, 0)
        if size > MAX_BYTES:
            self._execute("DELETE FROM cache WHERE key IN (SELECT key FROM cache ORDER BY expires LIMIT ?)", count // 2)
