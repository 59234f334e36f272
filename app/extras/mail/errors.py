"""Errors of the application, mailed to ADMINS: the first of a kind at once, the others counted and summed up.

A request that fails pays a few microseconds and waits for nothing: a thread does the rest, and a job sends the mail.
When the database is what fails, no job can be made: then there is the log, as ever.
"""

import hashlib
import logging
import os
import queue
import socket
import threading
import time
import traceback
from typing import Any, NamedTuple

from flask import Flask, current_app, has_request_context, request

from app.extensions import cache
from app.extras.mail import messages
from app.platform import logs
from app.platform.database import write_unit
from app.platform.tasks import task
from app.platform.version import version
from config import Config
from config_types import ROOT

WAITING = 100  # errors that wait for the thread; beyond them they are in the log only
PAUSE = 10.0  # s without another try after a failure
FLUSH = 2.0  # s that a process that ends waits for the thread
_OURS = ("groundwork.mail", "gunicorn")  # our own would go round in circles; Gunicorn's parent has no database
_log = logging.getLogger("groundwork.mail.errors")


class Failure(NamedTuple):
    """An error as text, made where it was logged: what it tells of may belong to that thread and its request.

    The lines of code come later, and only into a mail: they are most of what a traceback costs.
    """

    group: str
    title: str
    request_id: str
    lines: list[str]
    trace: traceback.TracebackException | None


class ErrorMail(logging.Handler):
    def __init__(self, app: Flask, settings: Config) -> None:
        super().__init__(logging.ERROR)
        self._app, self._settings = app, settings
        self._queue: queue.Queue[Failure] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._has_complained = False
        self._again_at = 0.0
        self.addFilter(logs.RequestIdFilter())

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_OURS) or messages.being_sent.get() or messages.deliver.name in _texts(record):
            return
        if self._thread and threading.get_ident() == self._thread.ident:
            return
        if self._pid != os.getpid():  # the first one in this process: threads do not survive a fork
            self._pid, self._queue = os.getpid(), queue.Queue(WAITING)
            self._thread = threading.Thread(target=self._work, args=(self._queue,), name="error mail", daemon=True)
            self._thread.start()
        if self._queue.full():
            return
        try:
            self._queue.put_nowait(failure(record))
        except queue.Full:
            pass
        except Exception:  # of what the line was to tell of; the others are not concerned
            self.handleError(record)

    def flush(self) -> None:
        """At the end of a process (logging.shutdown)."""
        until = time.monotonic() + FLUSH
        while self._pid == os.getpid() and self._queue.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.01)

    def _work(self, waiting: "queue.Queue[Failure]") -> None:
        while True:
            seen = waiting.get()
            try:
                if time.monotonic() >= self._again_at:
                    logs.request_id.set(seen.request_id)  # of the job that sends it, too
                    with self._app.app_context():
                        report(self._settings, seen)
                    self._has_complained = False
            except Exception as error:
                self._again_at = time.monotonic() + PAUSE
                if not self._has_complained:
                    self._has_complained = True
                    _log.warning("errors are in the log only for now, no mail can be enqueued: %s", _first_line(error))
            finally:
                waiting.task_done()


def failure(record: logging.LogRecord) -> Failure:
    """Raises whatever the arguments of the line raise."""
    kind, place = _kind_and_place(record)
    message, request_id = logs.mask(record.getMessage()), getattr(record, "request_id", "-")
    # The query string stays out: it may hold a token.
    asked = f"{request.method} {request.path}" if has_request_context() else "-"
    lines = [
        f"{logs.timestamp(record.created)} {record.levelname} {record.name}",
        message,
        "",
        f"request   {request_id}   {logs.mask(asked)}",
        f"version   {version()}",
        f"host      {socket.gethostname()}, process {record.process}",
        f"place     {place}",
        "",
    ]
    trace = None
    if record.exc_info and record.exc_info[0]:
        trace = traceback.TracebackException(*record.exc_info, lookup_lines=False)
    group = hashlib.sha256(f"{record.name} {kind} {place}".encode("utf-8", "replace")).hexdigest()[:16]
    return Failure(group, f"{kind} in {place}" if kind else message, request_id, lines, trace)


def report(settings: Config, seen: Failure) -> None:
    """The first of its kind becomes a mail, the others a number. Atomic, for all workers together."""
    group, title = seen.group, seen.title
    window = settings.ERROR_MAIL_MINUTES * 60
    if not cache.add(_key(group), True, timeout=2 * window + 60):
        cache.cache.inc(f"{_key(group)}:more")
        if cache.has(_key(group)):
            return
        raise RuntimeError("the cache, which counts them, does not answer")
    try:
        if not current_app.extensions.get("enqueue"):
            raise RuntimeError("JOBS is off")
        more = f"Further errors of this kind are counted, and summed up in {settings.ERROR_MAIL_MINUTES:g} minutes."
        trace = logs.mask("".join(seen.trace.format())) if seen.trace else ""
        with write_unit():
            _mail_admins(settings, title, [*seen.lines, trace, more])
            summarise.later(group, title, after=window)
    except BaseException:
        cache.delete(_key(group))  # the next one counts as the first
        raise


@task(name="mail.summarise")
def summarise(group: str, title: str) -> None:
    """How many more there were. While they go on there is one summary after the other."""
    settings: Config = current_app.extensions["settings"]
    counted = f"{_key(group)}:more"
    more = cache.get(counted) or 0
    cache.cache.dec(counted, more)  # not deleted: some may have come in between
    if not more:
        cache.delete(counted)
        cache.delete(_key(group))
        return
    window = settings.ERROR_MAIL_MINUTES * 60
    cache.set(_key(group), True, timeout=2 * window + 60)
    what = f"{more} more in {settings.ERROR_MAIL_MINUTES:g} minutes: {title}"
    with write_unit():
        _mail_admins(settings, what, [f"There were {what}.", "", "Each is in the log, with its own request id."])
        summarise.later(group, title, after=window)


def _mail_admins(settings: Config, title: str, lines: list[str]) -> None:
    """One of the mails that an hour has places for, where there is one left."""
    limit = settings.ERROR_MAILS_PER_HOUR
    place = next((place for place in range(limit) if cache.add(f"error mail {place}", True, timeout=3600)), None)
    if place is None:
        _log.warning("%s error mails within an hour are enough; see the log: %s", limit, title)
        return
    if place == limit - 1:
        lines += ["", f"This is the last error mail for now: {limit} within an hour are enough. The log has them all."]
    subject = "".join(character if character.isprintable() else " " for character in title)
    for admin in settings.ADMINS:
        messages.send_later(admin, f"{settings.APP_NAME}: {subject}"[: messages.SUBJECT_LENGTH], "\n".join(lines))


def _kind_and_place(record: logging.LogRecord) -> tuple[str, str]:
    """The class of the exception, and the innermost line of ours that it came through, as far as there is one."""
    kind, found = "", f"{_short(record.pathname)}:{record.lineno}"
    if record.exc_info and record.exc_info[0]:
        kind = record.exc_info[0].__name__
        frames = list(traceback.walk_tb(record.exc_info[2]))
        ours = [(frame, line) for frame, line in frames if _is_ours(frame.f_code.co_filename)] or frames
        if ours:
            frame, line = ours[-1]
            found = f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
    return kind, found


def _is_ours(file: str) -> bool:
    return file.startswith(str(ROOT)) and "site-packages" not in file


def _short(file: str) -> str:
    return file.removeprefix(f"{ROOT}{os.sep}")


def _texts(record: logging.LogRecord) -> tuple[Any, ...]:
    return record.args if isinstance(record.args, tuple) else ()


def _first_line(error: Exception) -> str:
    return logs.mask(str(error).partition("\n")[0]) or type(error).__name__


def _key(group: str) -> str:
    return f"error mail {group}"
