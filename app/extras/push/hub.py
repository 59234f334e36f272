"""The subscribers of this process, and the one thread that reads what is published and hands it to them.

It runs while there are subscribers, and must never wait for one: who does not take what is waiting is cut off.
"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from app.extras.events.bus import Bus, Event, News, Number

WAITING = 1000  # events that one subscriber may leave waiting
STALLED = 30  # s in which nothing of what is sent arrives: nobody reads, or is there any more
LOOK = 0.25  # s between two looks whether the server leaves
GOODBYE = 2.0  # s for saying so; then who does not listen is cut off
_log = logging.getLogger("groundwork.push")


class Subscriber:
    def __init__(self, hub: "Hub", channels: Sequence[str], connection: socket.socket | None) -> None:
        self.channels = channels
        self.is_over = False  # nothing more comes: the server leaves, or this one was too slow
        self._hub, self._connection = hub, connection  # the socket, where the server lends it
        self._waiting: SimpleQueue[Event | None] = SimpleQueue()
        self._seen: Number
        self._is_behind = True  # it has not been given yet all that was published before it came

    def catch_up(self, after: "Number") -> Iterator["News"]:
        """To be asked for once, first: what was published since, piece by piece. Raises what the bus raises."""
        if self._connection and hasattr(socket, "TCP_USER_TIMEOUT"):
            with contextlib.suppress(OSError):  # a unix socket, with a proxy that has time-outs of its own
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED * 1000)
        while self._is_behind and not self.is_over:
            news = self._hub.bus.news(after, self.channels)
            after = self._seen = news.reached
            self._is_behind = news.more
            yield news

    def take(self, timeout: float) -> list["Event"]:
        """What has come, waiting up to so many seconds for the first; nothing when it is over."""
        taken = []
        try:
            event = self._waiting.get(timeout=timeout)
            while event:
                if event.number > self._seen:  # catch_up() may have had it
                    taken.append(event)
                event = self._waiting.get_nowait()
        except Empty:
            pass
        if taken:
            self._seen = taken[-1].number
        return taken

    def position(self) -> "Number":
        """A later subscriber goes on from there. In a quiet channel it moves on, too, or it would leave the history."""
        with self._hub.lock:
            if self._waiting.empty() and not self._is_behind:
                self._seen = max(self._seen, self._hub.position)
        return self._seen

    def offer(self, event: "Event") -> None:
        if self._waiting.qsize() < WAITING:
            self._waiting.put(event)
        elif not self.is_over:
            _log.warning("a subscriber of %s is too slow and cut off", ", ".join(self.channels))
            self.end()
            self.cut_off()

    def end(self) -> None:
        self.is_over = True
        self._waiting.put(None)  # wakes it up

    def cut_off(self) -> None:
        """Ends a send that waits for the client."""
        if self._connection:
            with contextlib.suppress(OSError):  # the client was first
                self._connection.shutdown(socket.SHUT_RDWR)


class Hub:
    """One in each process; it has no thread before the first subscriber, so it may be made before a fork."""

    def __init__(self, bus: "Bus", extensions: Mapping[str, Any]) -> None:
        self.bus, self.lock, self._starting = bus, threading.Lock(), threading.Lock()
        self.position: Number
        self._extensions = extensions  # of the application, into which the server tells (serving/__init__.py)
        self._subscribers = WeakSet[Subscriber]()  # an answer that is never begun leaves its place, too
        self._running: set[Callable[[], None]] = set()

    @property
    def streams(self) -> int:
        return int(self._extensions.get("streams", 0))

    def is_leaving(self) -> bool:
        return bool(self._extensions.get("is_leaving", bool)())

    def has_room(self) -> bool:
        return len(self._subscribers) < self.streams and not self.is_leaving()

    def way(self, environ: Mapping[str, Any]) -> str:
        """How a page that asks should go on."""
        way = "websocket" if "gunicorn.socket" in environ else "stream"
        return way if self.has_room() else "asking"

    def subscribe(self, channels: Sequence[str], environ: Mapping[str, Any]) -> Subscriber | None:
        """None when as many as may be are there already, or the bus does not answer."""
        subscriber = Subscriber(self, channels, environ.get("gunicorn.socket"))
        if not self.has_room():
            return None
        with self._starting:  # held while the first one waits for the bus; the other lock is never held that long
            try:
                position = self.position if self._read in self._running else self.bus.latest()
            except self.bus.errors:
                return None
            with self.lock:
                if not self.has_room():
                    return None
                if self._read not in self._running:  # what is published after `position` is the reader's
                    self.position = position
                self._subscribers.add(subscriber)
                for work in {self._read, self._watch} - self._running:
                    self._running.add(work)
                    threading.Thread(target=work, name="push", daemon=True).start()
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        with self.lock:
            self._subscribers.discard(subscriber)

    def _read(self) -> None:
        failing = False
        news: News | None = None
        while True:
            try:
                if not (news and news.more):
                    self.bus.wait_after(self.position)
                news = self.bus.news(self.position)
                failing = False
            except Exception as error:  # any: without its reader the process would be deaf until it ends
                if not isinstance(error, self.bus.errors):
                    _log.exception("events could not be read")
                elif not failing:
                    _log.warning("the events wait for their store: %s", str(error).partition("\n")[0])
                failing, news = True, None
                time.sleep(1)
            with self.lock:
                if news:
                    self._hand_over(news)
                if not self._subscribers:
                    self._running.discard(self._read)
                    return

    def _hand_over(self, news: "News") -> None:
        for subscriber in self._subscribers:
            for event in news.events:
                if event.channel in subscriber.channels:
                    subscriber.offer(event)
            if news.lost:  # it comes back, and is told so by the number that it has
                subscriber.end()
        self.position = news.reached

    def _watch(self) -> None:
        """Ends what is open when the server leaves, which neither a store that hangs nor a client may delay."""
        patience = GOODBYE
        while True:
            time.sleep(LOOK)
            with self.lock:
                if not self._subscribers:
                    self._running.discard(self._watch)
                    return
                leaving = self.is_leaving()
                patience -= LOOK * leaving
                for subscriber in self._subscribers if leaving else ():
                    subscriber.end()
                    if patience < 0:
                        subscriber.cut_off()
