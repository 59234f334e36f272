"""What is traced, whoever reads it: requests, jobs, and the statements in them. Health checks and files are not.

A span has routes, statuses and statements with placeholders: no query string, no value, no body, no text of an error.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from flask import Flask
from sqlalchemy import event

from app.extensions import db
from app.platform import logs

END = 3.0  # s that a process which ends waits until its last spans are sent
SAY_AGAIN = 600.0  # s between two lines that say that a collector does not answer
_BROKEN = "groundwork.tracing.broken"
_log = logging.getLogger("groundwork.tracing")


class Span(Protocol):
    def end(self, status: int = 0, route: str = "", error: str = "") -> None: ...


class Tracer:
    """One that is not interested in something returns None for it."""

    def start(self, app: Flask) -> None:
        """Once in each process that does something: threads do not survive a fork."""

    def request(self, environ: dict[str, Any]) -> Span | None:
        return None

    def job(self, name: str) -> Span | None:
        return None

    def statement(self, word: str, text: str, system: str, database: str) -> Span | None:
        """Only within a request or a job. `word` is its first one: SELECT."""
        return None

    def end(self) -> None:
        """Sends what is left, and may take its time."""


class Traced:
    """An answer that ends its spans when it is closed. Lazy: a WebSocket's whole conversation is in its iteration."""

    def __init__(self, body: Iterable[bytes], end: Callable[[], None]) -> None:
        self._body, self._end = body, end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            if close := getattr(self._body, "close", None):
                close()
        finally:
            self._end()


class Tracing:
    def __init__(self, app: Flask, tracers: list[Tracer]) -> None:
        self._app, self._tracers = app, tracers
        self._working: list[Tracer] = []
        self._lock = threading.Lock()
        self._pid = 0
        Seldom(_BROKEN)

    def wrap(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def traced(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            spans = self._begin(lambda tracer: tracer.request(environ))
            if not spans:
                return application(environ, start_response)
            seen: dict[str, Any] = {}

            def note(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
                rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
                seen.update(status=int(status[:3]), route=rule.rule if rule else "")
                return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

            try:
                body = application(environ, note)
            except BaseException as error:
                _end(spans, error=type(error).__name__)
                raise
            return Traced(body, lambda: _end(spans, **seen))

        return traced

    @contextmanager
    def around_job(self, name: str) -> Iterator[None]:
        spans = self._begin(lambda tracer: tracer.job(name))
        try:
            yield
        except BaseException as error:
            _end(spans, error=type(error).__name__)
            raise
        _end(spans)

    def _begin(self, begin: Callable[[Tracer], Span | None]) -> list[Span]:
        if self._pid != os.getpid():
            self._start()
        found = (_quietly(begin, tracer) for tracer in self._working)
        return [span for span in found if span]

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._working = []
            for tracer in self._tracers:
                try:
                    tracer.start(self._app)
                    self._working.append(tracer)
                except Exception:
                    _log.exception("tracing could not be started in process %s, the site goes on", os.getpid())
            with self._app.app_context():
                self._watch_statements(db.engine)
            atexit.register(self.end)
            self._pid = os.getpid()

    def end(self) -> None:
        """Sends what is left, as long as a process that ends may wait."""
        working, self._working = self._working, []
        if self._pid == os.getpid() and working:
            sending = threading.Thread(target=lambda: [_quietly(lambda t: t.end(), t) for t in working], daemon=True)
            sending.start()
            sending.join(END)

    def _watch_statements(self, engine: Any) -> None:
        system, database = engine.dialect.name, os.path.basename(engine.url.database or "")

        def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            word = statement.split(None, 1)[0] if statement.strip() else system
            begun = (_quietly(lambda t: t.statement(word, statement, system, database), t) for t in self._working)
            connection.info.setdefault("spans", []).append([span for span in begun if span])

        def after(connection: Any, *_: Any) -> None:
            if waiting := connection.info.get("spans"):
                _end(waiting.pop())

        def failed(context: Any) -> None:
            if context.connection is not None and (waiting := context.connection.info.get("spans")):
                _end(waiting.pop(), error=type(context.original_exception).__name__)

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)
        event.listen(engine, "handle_error", failed)


def _quietly(call: Callable[[Any], Any], part: Any) -> Any:
    try:
        return call(part)
    except Exception as error:
        logging.getLogger(_BROKEN).warning("%s: %s", type(part).__name__, error)
        return None


def _end(spans: list[Span], **how: Any) -> None:
    for span in reversed(spans):
        _quietly(lambda span: span.end(**how), span)


class Seldom(logging.Handler):
    """Speaks for the loggers of an agent, which repeat themselves while its collector is away: once in ten minutes."""

    def __init__(self, *names: str) -> None:
        super().__init__(logging.WARNING)
        self._again_at, self._more = 0.0, 0
        for logger in map(logging.getLogger, names):
            logger.handlers[:], logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() < self._again_at:
            self._more += 1
            return
        self._again_at = time.monotonic() + SAY_AGAIN
        said = logs.mask(record.getMessage()).partition("\n")[0]
        _log.warning("traces may be lost: %s: %s (and %s more such lines)", record.name, said, self._more)
        self._more = 0
