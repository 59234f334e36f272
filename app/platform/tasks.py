"""Work for later, and work that comes again: features say what it is, and know nothing of who does it.

extras/jobs does it, in a process of its own. Without that extra, or with JOBS=off, what was to be done later is done at
once, by whoever asks, and nothing comes again by itself.
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from flask import current_app

from app.platform.database import after_commit, is_writing, write_unit

TASKS: dict[str, "Task"] = {}
LIMIT = 3600.0  # s


Decorator = Callable[[Callable[..., None]], "Task"]


@dataclass(frozen=True)
class Task:
    """Calling it does the work here and now, as a test may want it."""

    name: str
    function: Callable[..., None]
    atomic: bool
    retries: int
    delay: float
    limit: float
    every: float | None

    def __call__(self, *arguments: Any) -> None:
        with write_unit() if self.atomic and not is_writing() else nullcontext():
            self.function(*arguments)

    def later(self, *arguments: Any, after: float = 0) -> str | None:
        """Its work is done once, `after` so many seconds; returns the key of the job, None where nobody does jobs.

        In a write_unit() the job is there if and only if the unit commits. `arguments` are what JSON can say.
        """
        if enqueue := current_app.extensions.get("enqueue"):
            return str(enqueue(self, arguments, after))
        plain = json.loads(json.dumps(arguments))  # as a job would get them
        after_commit(lambda: self(*plain))
        return None


def task(
    *, name: str = "", atomic: bool = False, retries: int = 5, delay: float = 10, limit: float = LIMIT
) -> Decorator:
    """Makes a function a task. It runs in an application context, and may run again after a crash: at least once.

    `atomic`: all that it does is to write to the database. It runs within a write unit of its own (so it opens none),
    which also marks the job as done: its effect is there exactly once. Keep it short: on SQLite others wait to write.
    `retries`: further tries after an exception, the first after `delay` seconds, then each after twice as long.
    `limit`: seconds after which it hangs: its process ends and is replaced, and that was a try.
    `name`: what is stored; needed when a function is renamed or moved while jobs wait for it.
    """
    return _named(name, atomic, retries, delay, limit, None)


def periodic(*, seconds: float, name: str = "", atomic: bool = False, limit: float = LIMIT) -> Decorator:
    """Makes a function without arguments a task that is done every so many seconds, once for all machines together.

    The moments are multiples of `seconds` since 1970: 3600 is the full hour. From 1 s to a day.
    """
    if not 1 <= seconds <= 86_400:
        raise ValueError(f"A periodic task can not come every {seconds} s.")
    return _named(name, atomic, 0, 0, limit, seconds)


def _named(name: str, *how: Any) -> Decorator:
    def decorate(function: Callable[..., None]) -> Task:
        full = name or f"{function.__module__.removeprefix('app.')}.{function.__qualname__}"
        if (other := TASKS.get(full)) and other.function.__code__ is not function.__code__:
            raise ValueError(f"Two tasks have the name {full}.")
        TASKS[full] = made = Task(full, function, *how)
        return made

    return decorate


def tell_progress(percent: float, text: str = "") -> None:
    """How far the work is, for those who wait for it. In a task that is not atomic; elsewhere it does nothing."""
    if tell := current_app.extensions.get("tell_progress"):
        tell(max(0, min(round(percent), 100)), text)
