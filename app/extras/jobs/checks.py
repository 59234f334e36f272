"""What `flask doctor` asks of jobs. Imported by that command only."""

import time

from flask import current_app
from sqlalchemy import func, select

from app.extensions import db
from app.extras.jobs.models import PARKED, QUEUED, Job
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.tasks import TASKS

LATEST = 60  # seconds that a job may be overdue


@check("jobs.worker", "Mails wait, exports wait, backups are not made, and nothing on the pages says so.")
def jobs_are_done(deployment: Deployment) -> Finding:
    """Are jobs done when they are due?"""
    if not current_app.extensions.get("enqueue"):
        return skip("JOBS is off, or nobody is there to do them: work is done at once, by whoever asks for it.")
    begin = ".venv/bin/flask --app wsgi worker  # or JOBS=embedded in .env, then scripts/reload.sh"
    now = time.time()
    overdue = db.session.scalar(select(func.min(Job.due)).where(Job.state == QUEUED, Job.due < now))
    if overdue and now - overdue > LATEST:
        return fail(f"One has been due for {_length(now - overdue)}.", begin)
    every = min((task.every for task in TASKS.values() if task.every), default=0.0)
    names = [task.name for task in TASKS.values() if task.every == every]
    newest = db.session.scalar(select(func.max(Job.due)).where(Job.task.in_(names), Job.tick.is_not(None)))
    if not newest:
        return skip("none has been due yet, so nobody knows whether they are done.")
    if now - newest > every + LATEST:
        return fail(f"Nobody does them: the last periodic one is {_length(now - newest)} old.", begin)
    return ok(f"The last periodic one is {_length(now - newest)} old.")


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} h"


@check("jobs.parked", "What failed for good is done by nobody: a mail that was not sent, an export that never comes.")
def no_job_is_parked(deployment: Deployment) -> Finding:
    """Has no job failed for good?"""
    if not current_app.extensions.get("enqueue"):
        return skip("JOBS is off, or nobody is there to do them.")
    counted = select(Job.task, func.count()).where(Job.state == PARKED).group_by(Job.task)
    if parked := db.session.execute(counted).all():
        seen = ", ".join(f"{count} × {name}" for name, count in parked)
        return warn(f"Parked: {seen}.", "https://<host>/admin/jobs/  # try again or forget, with the reason")
    return ok("None.")
