"""The queue is a table of the application's own database: a job is enqueued, and marked as done, with its effect."""

import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import aliased

from app.extensions import db
from app.extras.jobs.models import DONE, PARKED, QUEUED, RUNNING, Job
from app.platform import database, logs
from app.platform.database import utc_now, write_unit
from app.platform.tasks import TASKS, Task

KEPT = {DONE: timedelta(days=1), PARKED: timedelta(days=30)}
DEATHS = 3  # of its process, after which a job is parked ...
SUSPECT = 2  # ... the last of them with no other beside it, so that it was no other
NO_END = "Its process ended before it did, or what became of it could not be written down: three times."


class NotOursError(Exception):
    """Another worker has the job, or had it: this one hung for so long that it counted as dead."""


@dataclass(frozen=True)
class Claimed:
    id: str
    task: Task
    arguments: str  # JSON
    tries: int
    request_id: str
    workers: list[str]  # the names that its worker has had since; the row has one of them
    is_alone: bool  # nothing else may run in its process


def enqueue(task: Task, arguments: Iterable[Any], after: float = 0) -> str:
    job = Job(task=task.name, arguments=json.dumps(list(arguments)), due=time.time() + after)
    job.request_id = logs.request_id.get()
    if database.is_writing():
        db.session.add(job)
        db.session.flush()
    else:
        with write_unit():
            db.session.add(job)
    return job.id


def claim(worker: str, count: int, is_idle: bool, but: Collection[str] = ()) -> list[Claimed]:
    """Up to `count` jobs that are due, oldest first, now this worker's. Not of tasks it does not know, and not `but`.

    One that may be what ended its process twice is done alone: nothing is claimed beside it, nor before `is_idle`.
    """
    wanted = Job.state == QUEUED, Job.due <= time.time(), Job.task.in_(TASKS), Job.id.not_in(but)
    oldest = db.session.scalar(select(Job.deaths).where(*wanted).order_by(Job.due).limit(1))
    if oldest is None or (oldest >= SUSPECT and not is_idle):
        db.session.rollback()
        return []
    found: list[Claimed] = []
    with write_unit():
        due = select(Job).where(*wanted).order_by(Job.due).limit(count).with_for_update(skip_locked=True)
        for job in db.session.scalars(due):
            is_alone = job.deaths >= SUSPECT
            if is_alone and (found or not is_idle):
                break
            job.state, job.worker, job.attempts, job.started = RUNNING, worker, job.attempts + 1, time.time()
            tries = job.attempts - job.deaths
            found.append(Claimed(job.id, TASKS[job.task], job.arguments, tries, job.request_id, [worker], is_alone))
            if is_alone:
                break
    return found


def mark_done(job: Claimed) -> None:
    """Within a write unit. Raises NotOursError."""
    _set(job, {"state": DONE, "worker": None, "progress": 100, "error": None, "ended_at": utc_now()})
    if job.task.every:
        _forget_failures(job)


def finish(job: Claimed) -> None:
    with write_unit():
        mark_done(job)


def fail(job: Claimed, error: str) -> tuple[bool, bool]:
    """Back into the queue, or parked after its last try. Whether it is parked, and whether that is news.

    It is none where a periodic task failed the last time, too.
    """
    is_parked, is_news = job.tries > job.task.retries, True
    # What every database takes.
    text = error[-10_000:].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    values: dict[str, Any] = {"worker": None, "error": text, "progress": 0}
    if is_parked:
        values |= {"state": PARKED, "ended_at": utc_now()}
    else:
        values |= {"state": QUEUED, "due": time.time() + job.task.delay * 2 ** (job.tries - 1)}
    with write_unit():
        _set(job, values)
        if is_parked and job.task.every:
            is_news = not _forget_failures(job)
    return is_parked, is_news


def _forget_failures(job: Claimed) -> int:
    """Earlier ones of a periodic task: the last is enough to look at, and none when it works again."""
    earlier = update(Job).where(Job.task == job.task.name, Job.state == PARKED, Job.tick.is_not(None))
    return _count(earlier.where(Job.id != job.id).values(state=DONE))


def _set(job: Claimed, values: dict[str, Any]) -> None:
    mine = update(Job).where(Job.id == job.id, Job.worker.in_(job.workers), Job.state == RUNNING)
    if _count(mine.values(values)) != 1:
        raise NotOursError(f"was done twice: job {job.id}")


def _count(statement: Any) -> int:
    return int(db.session.execute(statement).rowcount)  # type: ignore[attr-defined]


def owners() -> Sequence[str]:
    """The workers that jobs are said to run in."""
    return [name for name in db.session.scalars(select(Job.worker).where(Job.state == RUNNING).distinct()) if name]


def rename(worker: str, name: str, jobs: Collection[Claimed]) -> None:
    """The jobs that a worker goes on with under another name, unless others have taken them back meanwhile."""
    for job in jobs:
        job.workers.append(name)
    if jobs:
        its = Job.worker == worker, Job.state == RUNNING, Job.id.in_([job.id for job in jobs])
        with write_unit():
            db.session.execute(update(Job).where(*its).values(worker=name))


def take_back(worker: str, but: Collection[str] = (), has_died: bool = True) -> int:
    """The running jobs of a worker that leaves, that is dead, or that knows only of those in `but`. Returns how many.

    They are due again; but one whose process has died each time is parked.
    """
    its = Job.worker == worker, Job.state == RUNNING, Job.id.not_in(but)
    if db.session.scalar(select(Job.id).where(*its).limit(1)) is None:
        db.session.rollback()
        return 0
    with write_unit():
        # What somebody else is changing may be done in the next moment, and is looked at again.
        jobs = db.session.scalars(select(Job).where(*its).with_for_update(skip_locked=True)).all()
        for job in jobs:
            job.state, job.worker = QUEUED, None
            if not has_died:
                job.attempts -= 1
                continue
            job.deaths += 1
            if job.deaths >= DEATHS:
                job.state, job.ended_at, job.error = PARKED, utc_now(), NO_END
            elif not job.tick:  # behind the others, so that what kills its process does not meet the same ones
                job.due = time.time() + (10 if job.deaths >= SUSPECT else 0)
        return len(jobs)


def tell_progress(job_id: str, percent: int, text: str) -> None:
    """Beside the transaction of who does it. Raises SQLAlchemyError."""
    with db.engine.begin() as connection:
        connection.execute(update(Job).where(Job.id == job_id).values(progress=percent, said=text))


def clean_up() -> None:
    hour, other = timedelta(hours=1), aliased(Job)
    # The newest of a periodic task stays: it says which of its moments were taken. Asked for once, not for each row.
    newest = select(func.max(other.due)).where(other.tick.is_not(None)).group_by(other.task)
    is_old_tick = Job.tick.is_not(None) & Job.due.not_in(newest)
    with write_unit():
        for state, age in KEPT.items():
            old = delete(Job).where(Job.state == state, Job.ended_at < utc_now() - age)
            db.session.execute(old.where(Job.tick.is_(None) | is_old_tick))
        db.session.execute(delete(Job).where(Job.state == DONE, is_old_tick, Job.ended_at < utc_now() - hour))
