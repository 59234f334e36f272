"""What Gunicorn's gthread worker leaves open, mended from outside: each place with a test that needs it.

Written against Gunicorn 27.0 and pinned by the lock file; `mend()` is called by gunicorn.conf.py before workers exist.
"""

import functools
import logging
import selectors
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gunicorn.util
import gunicorn.workers.gthread

from serving import closing, thread_waits

SILENT_CONNECTION = 0.05  # seconds
FULL_FOR = 0.1  # seconds
CLIENT_SILENCE = 15  # seconds between two bytes of a request

_lingering = ThreadPoolExecutor(8)  # its threads start with the first task: in each worker, not before the fork


def mend() -> None:
    # A connection that says nothing (browsers open them in advance) goes back to the poller after this time and not
    # after 5 s: with 16 of them the next request waited 20 s, with this 20 ms.
    gunicorn.workers.gthread.DEFAULT_WORKER_DATA_TIMEOUT = SILENT_CONNECTION
    gunicorn.workers.gthread.ThreadWorker.worker_connections = property(_room_for, _note_a_start)
    gunicorn.workers.gthread.TConn.close = _close
    gunicorn.workers.gthread.ThreadWorker.finish_request = _finish_request
    gunicorn.workers.gthread.ThreadWorker._cap_keepalive = _cap_waiting
    gunicorn.workers.gthread.ThreadWorker.enqueue_req = _enqueue
    gunicorn.workers.gthread.ThreadWorker.handle = _handle
    gunicorn.workers.gthread.ThreadWorker.set_accept_enabled = _set_accept_enabled
    logging.getLogger("gunicorn.error").addFilter(_is_not_about_silence)


def end_silence(listener: socket.socket) -> None:
    """Inherited by each connection: a client that falls silent in the middle of its request gives the thread back.

    Without it, as many such clients as threads stopped the server for ever.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", CLIENT_SILENCE, 0))


def _is_not_about_silence(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], BlockingIOError))


def _room_for(worker: Any) -> int:
    """How many connections a worker may hold: the idle ones, and one for each thread.

    Stock gthread accepts while all its threads are busy and another worker's are free: of 64 clients one worker
    took 64, and half of the capacity stood idle. When it stays full, new clients must get their turn all the same.
    """
    idle = len(worker.keepalived_conns) + len(worker.pending_conns)
    now = time.monotonic()
    if worker.nr_conns - idle < worker.cfg.threads:
        worker.not_full_at = now
    if now - worker.not_full_at > FULL_FOR:
        return int(worker.cfg.worker_connections)
    return int(min(worker.cfg.worker_connections, idle + worker.cfg.threads))


def _note_a_start(worker: Any, _: int) -> None:
    """The stock worker sets its limit once, when it is made."""
    worker.not_full_at = time.monotonic()


_stock_finish_request = gunicorn.workers.gthread.ThreadWorker.finish_request


def _finish_request(worker: Any, connection: Any, future: Any) -> None:
    """A leaving worker lets a connection that has said nothing yet speak. The stock one closes it, and a busy nginx has
    just connected: its POST was a 502.
    """
    gthread = gunicorn.workers.gthread
    if worker.alive or future.cancelled() or future.exception() or future.result() is not gthread._DEFER:
        _stock_finish_request(worker, connection, future)
        return
    try:
        connection.sock.setblocking(False)
        connection.timeout = time.monotonic() + gthread.STOP_KEEPALIVE_LINGER
        speaks = functools.partial(worker.on_pending_socket_readable, connection)
        worker.poller.register(connection.sock, selectors.EVENT_READ, speaks)
        worker.pending_conns.append(connection)
    except (OSError, ValueError):  # its client has gone
        worker.nr_conns -= 1
        connection.close()


_stock_enqueue = gunicorn.workers.gthread.ThreadWorker.enqueue_req
_stock_handle = gunicorn.workers.gthread.ThreadWorker.handle


def _enqueue(worker: Any, connection: Any) -> None:
    if not connection.initialized:  # a new one, not the next request of an old one
        closing.let_go_on(connection.sock)
    connection.enqueued = time.perf_counter()
    _stock_enqueue(worker, connection)


def _handle(worker: Any, connection: Any) -> Any:
    thread_waits.note("gunicorn", connection.enqueued)
    return _stock_handle(worker, connection)


_stock_set_accept_enabled = gunicorn.workers.gthread.ThreadWorker.set_accept_enabled


def _set_accept_enabled(worker: Any, enabled: bool) -> None:
    """A leaving worker takes those along that wait for a thread, where nobody else will (serving/closing.py)."""
    if not enabled and not worker.alive:
        for listener in worker.sockets:
            before = -1
            while closing.takes_no_new_connections(listener) and worker.nr_conns != before:
                before = worker.nr_conns
                worker.accept(listener)
    _stock_set_accept_enabled(worker, enabled)


def _cap_waiting(worker: Any, deadline: float) -> None:
    """Of a leaving worker: neither idle clients nor, as with the stock one, silent ones keep it longer than that."""
    for connection in (*worker.keepalived_conns, *worker.pending_conns):
        connection.timeout = min(connection.timeout, deadline)


def _close(connection: Any, graceful: bool = False) -> None:
    """Waits elsewhere, up to 2 s, for a client to close first. Stock gthread waits in the loop that accepts and
    dispatches: 20 clients that kept their end open after a last answer stopped a worker for 40 s.
    """
    if graceful:
        connection.sock.setblocking(True)
        _lingering.submit(gunicorn.util.close_graceful, connection.sock)
    else:
        gunicorn.util.close(connection.sock)
