"""A worker of Gunicorn's hears its master from its first moment on.

Gunicorn's master queues signals, and a worker has that handler, too, until it has set its own: what a worker is sent
until then is lost. A master that was told to stop while it replaced a worker then waited for that one through the whole
`graceful_timeout`, 30 s, with the restart behind it.
"""

import os
import signal
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def let_new_workers_end(arbiter: Any) -> None:
    """Workers forked from now on end when they are told to, even before they have set handlers of their own."""
    blocked: set[signal.Signals | int] = set()  # before the fork

    def in_child() -> None:
        for number in _ENDING:
            if signal.getsignal(number) == arbiter.signal:  # a worker that forks keeps its own
                signal.signal(number, signal.SIG_DFL)  # it has answered nobody yet
        allow()

    def hold_back() -> None:
        nonlocal blocked
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def allow() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    # A signal that arrives during the fork waits until the child has its handlers.
    os.register_at_fork(before=hold_back, after_in_parent=allow, after_in_child=in_child)
