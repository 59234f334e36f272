"""The moments of periodic tasks, each once for all machines: the table says which were taken.

Machines that share a Redis and no database take them there, and none while it does not answer.
"""

import time
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.extensions import cache, db
from app.extras.jobs.models import QUEUED, RUNNING, Job
from app.platform.database import write_unit
from app.platform.tasks import TASKS, Task

NOT_NOW = (
    InterfaceError,
    OperationalError,
    PoolTimeout,
)  # what else fails would fail each time, and hold up all others
MADE_UP = 30  # s, more than a boot on a busy machine: what was missed is made up; after a longer absence the last only


def of_all_tasks() -> list["Ticks"]:
    return [Ticks(task, task.every) for task in TASKS.values() if task.every]


class Ticks:
    def __init__(self, task: Task, every: float) -> None:
        self._task, self._every = task, every
        last = db.session.scalar(select(func.max(Job.due)).where(Job.task == task.name, Job.tick.is_not(None)))
        self._last = int(last // every) if last else int(time.time() // every)
        self._in_redis = db.engine.dialect.name == "sqlite" and hasattr(cache.cache, "guarded")

    def enqueue_due(self) -> None:
        now = time.time()
        newest = int(now // self._every)
        if newest <= self._last or self._is_under_way():
            return
        # One after the other, of those that were missed too.
        number = max(self._last + 1, min(newest, int((now - MADE_UP) // self._every)))
        name = f"{self._task.name} {number}"
        before, self._last = self._last, number
        if self._in_redis and not cache.add(f"tick {name}", True, timeout=max(3600, round(2 * self._every))):
            return
        try:
            self._write(name, number * self._every)
        except NOT_NOW:
            self._last = before  # and it is nobody's yet
            if self._in_redis:
                cache.delete(f"tick {name}")
            raise

    def _write(self, name: str, due: float) -> None:
        # What it logs is found by the name of its moment.
        values = {"task": self._task.name, "tick": name, "due": due, "request_id": name[-64:]}
        with write_unit():
            db.session.execute(_insert().values(values).on_conflict_do_nothing())  # another machine was first

    def _is_under_way(self) -> bool:
        """The one before: runs of a task do not pile up beside each other, and what they miss is made up after it."""
        waiting = (Job.task == self._task.name, Job.tick.is_not(None), Job.state.in_((QUEUED, RUNNING)))
        found = db.session.scalar(select(Job.id).where(*waiting).limit(1))
        db.session.rollback()
        return found is not None


def _insert() -> Any:
    """That a row is there already is no error, which PostgreSQL would log for each tick of each further machine."""
    if db.engine.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(Job)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(Job)
