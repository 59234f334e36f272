"""How an event gets from the process that publishes it to all that have subscribers: through Redis, else the database.

Both keep a short history, and number the events in the one order in which every reader sees them: an event that becomes
visible never has a lower number than one that was visible before, or a reader would miss it.
"""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.extras.events.models import StoredEvent

POLL = 0.25  # s between two looks of a process into the database
KEPT_FOR = 300  # s of history in the database
KEPT = 10_000  # events of history in Redis
SWEEP = 60.0  # s between two clean-ups by one process
BATCH = 250  # events that are read at once: at most 2 MiB

Message = tuple[str, str]  # channel and data
_ENDS = select(
    select(func.min(StoredEvent.id)).scalar_subquery(),  # each alone, or SQLite reads the whole table
    select(func.max(StoredEvent.id)).scalar_subquery(),
)


class Number(NamedTuple):
    """Redis has two parts, milliseconds and a counter; the database uses the first."""

    first: int
    second: int = 0

    def __str__(self) -> str:
        return f"{self.first}-{self.second}"


def number_of(text: str) -> Number:
    return Number(*map(int, text.split("-")))


@dataclass(frozen=True)
class Event:
    number: Number
    channel: str
    data: str

    @cached_property
    def json(self) -> str:
        """What a page gets; made once, however many read it."""
        return f'{{"id":"{self.number}","channel":"{self.channel}","event":{self.data}}}'


class News(NamedTuple):
    events: list[Event]
    reached: Number  # from where to go on
    lost: bool  # some before them may be gone
    more: bool  # there is more, to be asked for at once


class Bus(Protocol):
    transactional: bool  # what a write unit publishes is written by the unit itself, and not after it
    errors: tuple[type[Exception], ...]  # what it raises while its store does not answer

    def send(self, messages: Iterable[Message], connection: Connection | None = None) -> None:
        """`connection`: of the write unit that publishes."""

    def latest(self) -> Number: ...

    def before(self, age: float) -> Number:
        """The number before all that was published in the last `age` seconds."""

    def news(self, number: Number, channels: Collection[str] | None = None) -> News:
        """What came after the number, in order, at most BATCH; on all channels where none are named.

        A number beyond the newest is of another store, or of a later state of it: that page begins anew.
        """

    def wait_after(self, number: Number) -> None:
        """For a moment, or until there is something."""


class DatabaseBus:
    transactional: bool = True
    errors: tuple[type[Exception], ...] = (SQLAlchemyError,)

    def __init__(self, engine: Engine) -> None:
        self._engine, self._next_sweep = engine, 0.0

    def send(self, messages: Iterable[Message], connection: Connection | None = None) -> None:
        if connection is None:
            with self._engine.begin() as own:
                return self.send(messages, own)
        if connection.dialect.name == "postgresql":
            # A number is taken at the INSERT and seen at the commit: without this another transaction could take a
            # higher one and be seen before. Taken last in a unit and held to its end; SQLite has one writer anyway.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('groundwork:events', 0))"))
        now = time.time()
        rows = [{"channel": channel, "data": data, "created": now} for channel, data in messages]
        connection.execute(insert(StoredEvent), rows)
        if time.monotonic() > self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP
            # The newest of the old ones stays: whoever has seen that one has missed none.
            old = select(func.max(StoredEvent.id)).where(StoredEvent.created < now - KEPT_FOR).scalar_subquery()
            connection.execute(delete(StoredEvent).where(StoredEvent.id < old))
        return None

    def _one(self, statement: Any) -> int:
        with self._engine.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def latest(self) -> Number:
        return Number(self._one(select(func.max(StoredEvent.id))))

    def before(self, age: float) -> Number:
        return Number(self._one(select(func.max(StoredEvent.id)).where(StoredEvent.created < time.time() - age)))

    def news(self, number: Number, channels: Collection[str] | None = None) -> News:
        with self._engine.connect() as connection:
            oldest, newest = (end or 0 for end in connection.execute(_ENDS).one())
            if newest <= number.first:
                return News([], Number(newest), newest < number.first, more=False)
            wanted = select(StoredEvent.id, StoredEvent.channel, StoredEvent.data).where(StoredEvent.id > number.first)
            if channels is not None:
                wanted = wanted.where(StoredEvent.channel.in_(channels))
            rows = connection.execute(wanted.order_by(StoredEvent.id).limit(BATCH)).all()
        found = [Event(Number(row.id), row.channel, row.data) for row in rows]
        more, last = len(found) == BATCH, [event.number for event in found[-1:]]
        # What is committed since the first look has higher numbers: a page never goes on from beyond what it was told.
        return News(found, last[0] if more else max([Number(newest), *last]), 1 < oldest > number.first, more)

    def wait_after(self, number: Number) -> None:
        time.sleep(POLL)


class RedisBus:
    """One stream for all channels. Redis numbers what it appends, at once visible to all."""

    transactional: bool = False

    def __init__(self, url: str, slug: str) -> None:
        import redis  # 12 MiB and 0.2 s

        from app.platform.redis_cache import Breaker

        self.errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._guarded, self._no_answer = Breaker("events").guarded, redis.ConnectionError
        self._stream = f"{slug}:events"
        self._client: Any = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, decode_responses=True)

    def _ask(self, operation: Callable[[], Any]) -> Any:
        """Raises at once while Redis is left alone because it has failed: a request does not wait for each time-out."""
        answer = self._guarded(operation, None)
        if answer is None:
            raise self._no_answer("Redis has failed, and is left alone for some seconds")
        return answer

    def send(self, messages: Iterable[Message], connection: Connection | None = None) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for channel, data in messages:
            pipeline.xadd(self._stream, {"channel": channel, "data": data}, maxlen=KEPT, approximate=True)
        self._ask(pipeline.execute)

    def latest(self) -> Number:
        return self._newest("+")

    def before(self, age: float) -> Number:
        seconds, microseconds = self._ask(self._client.time)
        return self._newest(f"({int((seconds - age) * 1000 + microseconds / 1000)}")

    def _newest(self, upto: str) -> Number:
        entries = self._ask(lambda: self._client.xrevrange(self._stream, max=upto, count=1))
        return number_of(entries[0][0]) if entries else Number(0)

    def news(self, number: Number, channels: Collection[str] | None = None) -> News:
        pipeline = self._client.pipeline()  # as one, or what is cut off between two of them would be missed
        pipeline.xlen(self._stream)
        pipeline.xrange(self._stream, count=1)
        pipeline.xrevrange(self._stream, count=1)
        pipeline.xrange(self._stream, min=f"({number}", count=BATCH)
        length, first, newest, entries = self._ask(pipeline.execute)
        if not entries:
            reached = number_of(newest[0][0]) if newest else Number(0)
            return News([], reached, reached < number, more=False)
        # Who begins with nothing has missed something only when some were cut off.
        lost = number_of(first[0][0]) > number and (number > Number(0) or length >= KEPT)
        found = [
            Event(number_of(key), fields["channel"], fields["data"])
            for key, fields in entries
            if fields.keys() >= {"channel", "data"} and (channels is None or fields["channel"] in channels)
        ]  # another release may write other things
        return News(found, number_of(entries[-1][0]), lost, more=len(entries) == BATCH)

    def wait_after(self, number: Number) -> None:
        self._ask(lambda: self._client.xread({self._stream: str(number)}, count=1, block=round(POLL * 1000)) or ())
