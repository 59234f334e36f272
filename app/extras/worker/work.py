"""One job, in a thread of its own: done and marked as done, or tried again, or parked, and the log says which."""

import contextlib
import json
import logging
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from flask import Flask, current_app
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.extensions import db
from app.extras.worker.queue import Claimed, Queue
from app.platform import logs
from app.platform.database import is_writing, write_unit
from app.platform.events import publish
from app.platform.tasks import Task

_log = logging.getLogger("groundwork.jobs")
current: ContextVar[str] = ContextVar("job", default="")
_has_told: ContextVar[bool] = ContextVar("has told", default=False)  # somebody may be looking at its progress


def do(app: Flask, queue: Queue, job: Claimed) -> None:
    """Raises nothing: what can not be written down is noticed and taken back by the worker's loop."""
    with app.app_context():
        try:
            logs.request_id.set(job.request_id)  # what the job logs is found with what asked for it
            current.set(job.id)
            _has_told.set(False)
            _try(queue, job)
            if _has_told.get():
                publish(_channel(job.id), {"state": "ended"})
        except queue.NotOursError as reason:
            _log.warning("%s", reason)
        except Exception:
            _log.exception("job %s is left as it is", job.id)
        finally:
            db.session.remove()


def _try(queue: Queue, job: Claimed) -> None:
    started, task = time.monotonic(), job.task
    try:
        arguments = json.loads(job.arguments)
        if task.atomic:
            with _around(task), write_unit():
                task.function(*arguments)
                queue.mark_done(job)
        else:
            with _around(task):
                task(*arguments)
            _until_it_works(lambda: queue.finish(job))
    except queue.NotOursError:
        raise
    except BaseException:  # SystemExit too: a job ends no worker
        db.session.rollback()  # what it has written outside of a unit
        error = traceback.format_exc()
        is_parked, is_news = _until_it_works(lambda: queue.fail(job, error))
        level = logging.ERROR if is_parked and is_news else logging.WARNING
        what = f"failed for the {job.tries}. time and is {'parked' if is_parked else 'tried again later'}"
        _log.log(level, "%s %s, job %s", task.name, what, job.id, exc_info=True)
    else:
        _log.info("%s is done after %.3f s, job %s", task.name, time.monotonic() - started, job.id)


def _around(task: Task) -> contextlib.AbstractContextManager[None]:
    """What another extra has to do around a job, such as to trace it."""
    around = current_app.extensions.get("around_job", lambda name: contextlib.nullcontext())
    return around(task.name)  # type: ignore[no-any-return]


def _until_it_works(step: Callable[[], Any]) -> Any:
    """What was done has to be written down, and a database that is down comes back. Other errors are raised."""
    while True:
        try:
            return step()
        except (OperationalError, InterfaceError, DisconnectionError, PoolTimeout) as error:
            db.session.rollback()
            _log.warning("a job waits for the database: %s", str(error).partition("\n")[0])
            time.sleep(1)


def tell_progress(percent: int, text: str) -> None:
    """Of the job that this thread does, beside its transaction: not within a write unit, which it would wait for."""
    if (job_id := current.get()) and not is_writing():
        with contextlib.suppress(SQLAlchemyError):
            current_app.extensions["queue"].tell_progress(job_id, percent, text[:200])
        publish(_channel(job_id), {"progress": percent, "said": text[:200]})
        _has_told.set(True)


def _channel(job_id: str) -> str:
    return f"job-{job_id}"
