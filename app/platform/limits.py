"""How often something may be tried, counted over all workers and machines: in Redis, or else in the database.

A sliding window: of any `seconds` in a row at most `count` tries pass. One that is refused does not count, so that
a limit which somebody keeps hammering still ends, and nobody is locked out for ever.
"""

import hashlib
import ipaddress
import math
import random
import secrets
import time
from collections.abc import Callable
from typing import Any

from flask import current_app, request
from sqlalchemy import String, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model, cache, db
from app.platform.database import write_unit
from app.platform.errors import AppError

_SWEEP = 0.01  # of all takes also remove what other keys have left behind

# All keys are looked at before one is counted. Returns the seconds to wait, 0 when the try was counted.
_REDIS_TAKE = """
local now, seconds, count, wait = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), 0
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - seconds)
  if redis.call('ZCARD', key) >= count then
    wait = math.max(wait, redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] + seconds - now)
  end
end
if wait > 0 then return tostring(wait) end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[4])
  redis.call('EXPIRE', key, seconds)
end
return '0'
"""


class Try(Model):
    __tablename__ = "tries"

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    ticket: Mapped[str] = mapped_column(String(16), primary_key=True)
    expires: Mapped[float] = mapped_column(index=True)  # seconds since 1970


class Limit:
    """`Limit("log-in", 10, 180)`: at most 10 in any 180 s for each key."""

    def __init__(self, name: str, count: int, seconds: int) -> None:
        self.name, self.count, self.seconds = name, count, seconds

    def take(self, *keys: str) -> str:
        """Counts one try for every key; returns its ticket. Raises AppError 429 when one of them has no try left."""
        ticket, now = secrets.token_hex(8), time.time()
        hashed = sorted(self._hashed(key) for key in keys)  # sorted, so that two never wait for each other
        names, arguments = [f"groundwork:tries:{key}" for key in hashed], (now, self.seconds, self.count, ticket)
        wait = _in_redis(lambda client: float(client.eval(_REDIS_TAKE, len(names), *names, *arguments)))
        if wait is None:
            wait = self._take_in_database(hashed, now, ticket)
        if wait > 0:
            text = f"{math.ceil(wait)} s" if wait < 90 else f"{math.ceil(wait / 60)} minutes"
            message = f"There were too many tries. Wait {text}, then try again."
            raise AppError(message, 429, headers={"Retry-After": str(math.ceil(wait))})
        return ticket

    def give_back(self, ticket: str, *keys: str) -> None:
        """The try was a good one: it no longer counts."""
        hashed = [self._hashed(key) for key in keys]
        if _in_redis(lambda client: sum(client.zrem(f"groundwork:tries:{key}", ticket) for key in hashed)) is None:
            with write_unit():
                db.session.execute(delete(Try).where(Try.key.in_(hashed), Try.ticket == ticket))

    def _hashed(self, key: str) -> str:
        application = current_app.extensions["settings"].slug  # others may share the Redis
        return hashlib.sha256(f"{application}:{self.name}:{key}".encode("utf-8", "replace")).hexdigest()[:32]

    def _take_in_database(self, hashed: list[str], now: float, ticket: str) -> float:
        with write_unit():
            if db.engine.dialect.name == "postgresql":  # SQLite's write unit has no other beside it
                for key in hashed:
                    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
            counted = select(func.count(), func.min(Try.expires)).where(Try.key.in_(hashed), Try.expires > now)
            rows = db.session.execute(counted.group_by(Try.key)).all()
            wait: float = max((expires - now for count, expires in rows if count >= self.count), default=0.0)
            if wait <= 0:
                db.session.add_all(Try(key=key, ticket=ticket, expires=now + self.seconds) for key in hashed)
            if random.random() < _SWEEP:  # noqa: S311 - no secret
                db.session.execute(delete(Try).where(Try.expires < now - 3600))
        return wait


def _in_redis(operation: Callable[[Any], float]) -> float | None:
    """None without Redis, and while it does not answer: then the database counts."""
    store: Any = cache.cache
    guarded = getattr(store, "guarded", None)  # of a SafeRedisCache
    answer: float | None = guarded(lambda: operation(store._write_client), None) if guarded else None
    return answer


def client_network() -> str:
    """Who asks, as a key: the address, of IPv6 the network of 64 bits, which one customer has whole."""
    address = request.remote_addr or "unknown"
    if ":" not in address:
        return address
    mapped = ipaddress.IPv6Address(address).ipv4_mapped
    return str(mapped or ipaddress.ip_network(f"{address}/64", strict=False))
