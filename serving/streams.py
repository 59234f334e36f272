"""How many connections of a serving process may stay open to be told news.

They must never take what visitors need: a stream holds a thread of gthread's and of Waitress', and one of gevent's
connections. The sync worker has one place for everything, so that it keeps none open; the pages ask instead.
"""

import logging
from typing import Any

_OF_THREADS = 0.5  # the other half answers requests
_OF_CONNECTIONS = 0.8


def room(threads: int) -> int:
    return int(threads * _OF_THREADS)


def room_of(worker: Any) -> int:
    """Of Gunicorn's."""
    if worker.cfg.worker_class_str == "gevent":
        return int(worker.cfg.worker_connections * _OF_CONNECTIONS)
    return room(worker.cfg.threads) if worker.cfg.worker_class_str == "gthread" else 0


def is_not_about_stalling(record: logging.LogRecord) -> bool:
    """A filter: who stops reading, or is not there any more, is no error of ours (Gunicorn logs it as one)."""
    return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))
