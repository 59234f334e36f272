"""One pipeline for every log line: the application's, Gunicorn's, Waitress' and the access log's.

JSON in production, columns in development, the request id in each line, secrets masked. Logging must
never raise into a request: a full disk or a closed pipe loses the line, not the answer.
"""

import contextlib
import functools
import json
import logging
import logging.config
import os
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from config import Config, ConfigError

ACCESS = "groundwork.access"
LOG_FILE_BYTES = 10 * 1024 * 1024
LOG_FILES_KEPT = 5
DEEPEST = 20  # values within values of `extra=`
PIPE_BUF = 4096  # bytes that Linux writes to a pipe in one piece (pipe(7))

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_MASKED = re.compile(
    r"((?:passw\w*|secret\w*|token|api[-_]?key|(?:proxy-)?authorization|set-cookie|cookie)[\"']?\s*[=:]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'"  # quoted, with spaces and commas inside
    r"|(?:bearer|basic|digest)\s+[^\s\"',;&]+"
    r"|[^\s\"',;&]+(?:;\s*[\w-]+=[^\s\"',;&]*)*)"  # a cookie header has several
    r"|(://[^\s:/@]*:)[^\s/]+(?=@)",
    re.IGNORECASE,
)
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "color_message"}


def mask(text: str) -> str:
    """`text` with the values after password=, token:, Authorization: … and in URLs replaced by ***."""
    return _MASKED.sub(lambda match: f"{match[1] or match[2]}***", text)


@functools.lru_cache(maxsize=500)
def _is_secret(name: str) -> bool:
    return mask(f"{name}=x").endswith("=***")


def _masked(value: Any, name: str, inside: tuple[int, ...] = ()) -> Any:
    """For JSON: `value`, called `name`, without secrets, however deep. `inside`: the ids of what holds it."""
    if value is None or isinstance(value, bool):
        return value
    if _is_secret(name):
        return "***"  # what is called a password is one, whatever it looks like
    if isinstance(value, int | float):
        return value
    try:
        if isinstance(value, dict | list | tuple | set | frozenset):
            if id(value) in inside or len(inside) == DEEPEST:
                return "…"
            inside += (id(value),)
            if isinstance(value, dict):
                return {mask(str(key)): _masked(part, str(key), inside) for key, part in list(value.items())}
            return [_masked(part, "", inside) for part in list(value)]
        return mask(str(value))
    except Exception as error:  # of a __str__, or another thread's change: the rest of the line is still told
        return f"<{type(value).__name__}: {type(error).__name__}>"


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


class RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class JsonFormatter(logging.Formatter):
    """One line of JSON: time, level, logger, message, request_id, whatever `extra=` gave, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == ACCESS:
            return record.getMessage()  # the gateway has written its line already
        fields: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask(record.getMessage()),
            "request_id": getattr(record, "request_id", "-"),
            "pid": record.process,
        }
        for key, value in vars(record).items():
            if key not in _RECORD_FIELDS:
                fields[key] = _masked(value, key)
        if record.exc_info:
            fields["traceback"] = mask(self.formatException(record.exc_info))
        if record.stack_info:
            fields["stack"] = mask(record.stack_info)
        return json.dumps(fields, default=str, separators=(",", ":"))


class ConsoleFormatter(logging.Formatter):
    """Columns for people: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname:<8} {record.name:<20} {mask(record.getMessage())}"
        if record.exc_info:
            text += "\n" + mask(self.formatException(record.exc_info))
        return text


def _handler(settings: Config) -> dict[str, Any]:
    common = {"formatter": settings.LOG_FORMAT, "filters": ["request_id"]}
    if settings.LOG_FILE is None:
        return {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"} | common
    try:
        settings.LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
        settings.LOG_FILE.open("ab").close()
    except OSError as error:
        raise ConfigError(f"LOG_FILE: {settings.LOG_FILE} can not be written ({error.strerror}). Own it.") from None
    return {
        # Rotates under a lock file, so that many processes can share the log, on Windows too.
        "class": "app.platform.log_file.SharedLogFile",
        "filename": str(settings.LOG_FILE),
        "maxBytes": LOG_FILE_BYTES,
        "backupCount": LOG_FILES_KEPT,
        "encoding": "utf-8",
    } | common


def dict_config(settings: Config) -> dict[str, Any]:
    """For logging.config.dictConfig, and for Gunicorn's `logconfig_dict`."""
    quiet = {"level": "WARNING"}
    through_root: dict[str, Any] = {"level": settings.LOG_LEVEL, "handlers": [], "propagate": True}
    loggers = {
        "gunicorn.error": through_root,
        "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": False},
        "waitress.queue": {"level": "ERROR"},  # "task queue depth" under every small burst is noise
        "werkzeug": through_root,
        "alembic": quiet,
        "sqlalchemy.engine": quiet,
        "asyncio": quiet,
    }
    for name, level in settings.LOG_LEVELS.items():
        loggers[name] = loggers.get(name, {}) | {"level": level}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {"json": {"()": JsonFormatter}, "console": {"()": ConsoleFormatter}},
        "handlers": {"main": _handler(settings)},
        "root": {"level": settings.LOG_LEVEL, "handlers": ["main"]},
        "loggers": loggers,
    }


def configure(settings: Config) -> None:
    logging.raiseExceptions = settings.DEBUG or settings.TESTING
    logging.config.dictConfig(dict_config(settings))


_quote = json.encoder.encode_basestring_ascii  # C speed; escapes quotes, control characters and newlines


def access_writer(settings: Config) -> Callable[..., None] | None:
    """A function that writes one access line, or None when LOG_LEVEL hides it.

    The line is one `write` of at most PIPE_BUF bytes, so lines of several workers never mix.
    Writing it raw instead of through logging saves 13 µs a request (stdlib handler 21, raw write 8).
    """
    if settings.LOG_LEVEL not in {"DEBUG", "INFO"} or "WERKZEUG_RUN_MAIN" in os.environ:
        return None  # the development server writes its own
    emit: Callable[[str], None] = _write_to_stderr
    if settings.LOG_FILE:
        from app.platform.log_file import write_line as emit
    line = _console_line if settings.LOG_FORMAT == "console" else _json_line

    def write(*fields: Any) -> None:
        emit(line(*fields))

    return write


def _write_to_stderr(line: str) -> None:
    with contextlib.suppress(OSError):  # closed pipe, full disk: the answer matters more than its log line
        os.write(2, line.encode() + b"\n")


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return timestamp(seconds)[:-4]  # formatted once a second, not per request


def _json_line(
    ended: float, request: str, method: str, path: str, status: str, seconds: float, size: str, client: str, agent: str
) -> str:
    line = (
        f'{{"time":"{_second(int(ended))}{int(ended % 1 * 1000):03d}Z","level":"info","logger":"access",'
        f'"request_id":"{request}",'
        f'"method":{_quote(method[:20])},"path":{_quote(path[:1000])},"status":{status},"ms":{seconds * 1000:.2f},'
        f'"bytes":{size},"client":{_quote(client)},"agent":{_quote(agent[:200])},"pid":{os.getpid()}}}'
    )
    if len(line) < PIPE_BUF:
        return line
    # Escapes have made six characters of one.
    return _json_line(ended, request, method, path[:250], status, seconds, size, client[:50], agent[:100])


def _console_line(
    ended: float, request: str, method: str, path: str, status: str, seconds: float, size: str, client: str, agent: str
) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(ended))
    return f"{clock} {status} {method[:20]:<6} {_quote(path[:600])[1:-1]} {seconds * 1000:.1f} ms {request}"
