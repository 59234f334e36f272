"""The cache in Redis, which degrades to a miss: the stock backend turns an outage of Redis into answers of 500."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from cachelib.serializers import RedisSerializer
from flask_caching.backends.rediscache import RedisCache
from redis import RedisError

from app.platform.cache import readable

BREAK = 5.0  # seconds without Redis after a failure, so that a hung one costs one time-out and not one per call

_log = logging.getLogger("groundwork.cache")


class SafeSerializer(RedisSerializer):
    def loads(self, value: bytes | None) -> Any:
        return readable(value[1:]) if value and value.startswith(b"!") else super().loads(value)


class Breaker:
    """Leaves a Redis alone for a while that has failed. One in each process for each that uses it."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._broken_until: float | None = None  # monotonic time; None: it works
        self._probe = threading.Lock()

    def guarded(self, operation: Callable[[], Any], miss: Any) -> Any:
        if self._broken_until is None:
            return self._tried(operation, miss)
        # Of all threads one asks whether it is back: with a hung Redis it waits for its time-out, the others do not.
        if time.monotonic() < self._broken_until or not self._probe.acquire(blocking=False):
            return miss
        try:
            return self._tried(operation, miss)
        finally:
            self._probe.release()

    def _tried(self, operation: Callable[[], Any], miss: Any) -> Any:
        try:
            answer = operation()
        except RedisError as error:
            if self._broken_until is None:
                _log.warning("%s: Redis failed, asked again every %s s until it works: %s", self._of, BREAK, error)
            self._broken_until = time.monotonic() + BREAK
            return miss
        if self._broken_until is not None:
            _log.info("%s: Redis works again", self._of)
            self._broken_until = None
        return answer


class SafeRedisCache(RedisCache):
    """Every operation answers like an empty cache while Redis fails."""

    serializer = SafeSerializer()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.guarded = Breaker("cache").guarded


def _guard(name: str, miss: Any) -> None:
    stock = getattr(RedisCache, name)

    def operation(self: SafeRedisCache, *args: Any, **kwargs: Any) -> Any:
        return self.guarded(lambda: stock(self, *args, **kwargs), miss(args) if callable(miss) else miss)

    setattr(SafeRedisCache, name, operation)


for _name, _miss in {
    "get": None,
    "get_many": lambda keys: [None] * len(keys),
    "set": False,
    "set_many": lambda _: [],
    "add": False,
    "has": False,
    "delete": False,
    "delete_many": lambda _: [],
    "unlink": 0,
    "clear": False,
    "inc": None,
    "dec": None,
}.items():
    _guard(_name, _miss)
