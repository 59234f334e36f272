"""The cache in Redis, which degrades to a miss: the stock backend turns an outage of Redis into answers of 500."""

import logging
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


class SafeRedisCache(RedisCache):
    """Every operation answers like an empty cache while Redis fails."""

    serializer = SafeSerializer()
    _open_again = 0.0  # monotonic time until which Redis is left alone

    def guarded(self, operation: Callable[[], Any], miss: Any) -> Any:
        if time.monotonic() < self._open_again:
            return miss
        try:
            return operation()
        except RedisError as error:
            self._open_again = time.monotonic() + BREAK
            _log.warning("cache: Redis failed, not asked again for %s s: %s", BREAK, error)
            return miss


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
