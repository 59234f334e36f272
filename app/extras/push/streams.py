"""Server-sent events for one subscriber (HTML standard, 9.2)."""

import functools
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.extras.push.hub import Hub, Subscriber

if TYPE_CHECKING:
    from app.extras.events.bus import Event, Number

# Where the client has gone is noticed when something is sent: until then it holds a thread of gthread's or Waitress'.
BEAT = 5.0  # s between two signs of life on a stream of events
COME_BACK = 500, 2000  # ms after which a client comes back: not all at the same moment


@functools.lru_cache(maxsize=256)  # made once, however many are told
def message(event: "Event") -> bytes:
    return f"id: {event.number}\ndata: {event.json}\n\n".encode()


class EventStream:
    """The body of an answer. close() is called whatever happens."""

    def __init__(self, hub: Hub, subscriber: Subscriber, begin: "Number") -> None:
        self._hub, self._subscriber, self._begin = hub, subscriber, begin
        self.close = functools.partial(hub.remove, subscriber)

    def __iter__(self) -> Iterator[bytes]:
        yield f"retry: {random.randint(*COME_BACK)}\n\n".encode()  # noqa: S311 - no secret
        try:
            for news in self._subscriber.catch_up(self._begin):
                if news.lost:
                    yield b'data: {"lost":true}\n\n'
                yield b"".join(map(message, news.events)) or self._beat()
        except self._hub.bus.errors:
            return  # the client comes back
        while not self._subscriber.is_over:
            yield b"".join(map(message, self._subscriber.take(BEAT))) or self._beat()

    def _beat(self) -> bytes:
        number = self._subscriber.position()
        return f'id: {number}\ndata: {{"id":"{number}"}}\n\n'.encode()
