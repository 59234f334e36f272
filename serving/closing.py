"""How Gunicorn stops listening where others serve on: a rolling release in containers, machines behind a balancer.

Stock Gunicorn resets whatever has connected and was not accepted yet: with 8 clients each stop lost 8 requests, and a
proxy must not send a POST again. So the kernel takes no new connections first; those that are there are accepted; then
the door is closed, and who comes is refused at once and asked elsewhere. Linux only; elsewhere it stays as it was.
"""

import contextlib
import inspect
import re
import socket
import struct
import sys
import time
from collections.abc import Iterable
from typing import Any

SETTLE = 0.05  # seconds for connections that are half made; a client that comes in them is refused a second later
_INTERNET = (socket.AF_INET, socket.AF_INET6)
LONGEST = 1.0  # seconds, on a machine so busy that the workers have not accepted all by then
# Drops what has fewer hops left than nearly anybody sends with (ip(7), ipv6(7)): new connections; half made ones are
# finished. It needs no right; a packet filter would, and a container's user has none.
_LEAST_HOPS = ((socket.IPPROTO_IP, 21), (socket.IPPROTO_IPV6, 73))  # IP_MINTTL, IPV6_MINHOPCOUNT
_ALL_HOPS = 255


def take_no_new_connections(listener: socket.socket) -> None:
    """Also for whoever shares the socket. Raises OSError where the kernel knows no such limit."""
    _limit(listener, _ALL_HOPS)


def takes_no_new_connections(listener: socket.socket) -> bool:
    if sys.platform != "linux" or listener.family not in _INTERNET:
        return False
    try:
        return listener.getsockopt(*_LEAST_HOPS[0]) == _ALL_HOPS
    except OSError:  # a kernel of another maker, as in gVisor
        return False


def let_go_on(connection: socket.socket) -> None:
    """One that was half made when its listener took no more, and has inherited that."""
    if takes_no_new_connections(connection):
        with contextlib.suppress(OSError):
            _limit(connection, 0)


def _limit(sock: socket.socket, hops: int) -> None:
    for level, option in _LEAST_HOPS[: 2 if sock.family == socket.AF_INET6 else 1]:
        sock.setsockopt(level, option, hops)


def close_the_door(arbiter: Any) -> None:
    """To be called once, in Gunicorn's master, when its listeners are there: prepares its graceful stop."""
    stop, worker_class = arbiter.stop, arbiter.worker_class
    if len(inspect.signature(worker_class.handle).parameters) == 4:  # sync, gevent. For gthread: serving/gthread.py
        handle = worker_class.handle

        def handle_at_last(worker: Any, listener: Any, client: socket.socket, address: Any) -> None:
            let_go_on(client)
            handle(worker, listener, client, address)

        worker_class.handle = handle_at_last

    def stop_listening_first(graceful: bool = True) -> None:
        # Not where the socket outlives this server: a successor or systemd listens on it.
        if graceful and not (arbiter.reexec_pid or arbiter.master_pid or arbiter.systemd):
            settle(listener.sock for listener in arbiter.LISTENERS)
        stop(graceful)

    arbiter.stop = stop_listening_first


def settle(listeners: Iterable[socket.socket]) -> None:
    if sys.platform != "linux":
        return
    closing = []
    for listener in listeners:
        if listener.family in _INTERNET:
            with contextlib.suppress(OSError):
                take_no_new_connections(listener)
                closing.append(listener)
    until = time.monotonic() + LONGEST
    if closing:
        time.sleep(SETTLE)
    while any(map(somebody_waits, closing)) and time.monotonic() < until:
        time.sleep(SETTLE / 5)


def somebody_waits(listener: socket.socket) -> bool:
    """Has connected, and is not accepted, or has not said anything yet (TCP_DEFER_ACCEPT). Would be reset now."""
    queued = struct.unpack_from("I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]
    if queued:  # tcpi_unacked, which for a listener is its queue
        return True
    half_made = re.compile(rf" [0-9A-F]+:{listener.getsockname()[1]:04X} [0-9A-F:]+ 03 ")
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as lines:
            if half_made.search(lines.read()):
                return True
    return False
