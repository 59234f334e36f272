"""A job's progress for who waits for it; for admins what waits, what runs where, and what needs a person."""

import re
import time

from flask import Blueprint, current_app, jsonify, redirect, render_template, request, url_for
from sqlalchemy import func, select, update
from werkzeug.wrappers import Response

from app.extensions import db
from app.extras.jobs.models import DONE, PARKED, QUEUED, RUNNING, Job
from app.platform.database import write_unit
from app.platform.errors import AppError
from app.platform.security import admins_only
from app.platform.tasks import TASKS

LISTED = 50
OF_ONE_TASK = 10  # parked ones, so that a task which fails again and again hides no other
_KEY = re.compile("[0-9a-f]{32}")
PATIENCE = 60.0  # s that a job may wait, or a moment of a periodic task pass, before it is said that nobody works

blueprint = Blueprint("jobs", __name__, template_folder="templates")
admin = Blueprint("admin_jobs", __name__, template_folder="templates")


@blueprint.get("/<job_id>")
def progress(job_id: str) -> Response | str:
    """How far a job is, for whoever knows its key, which nobody can guess: JSON, or a page that renews itself."""
    if not _KEY.fullmatch(job_id) or not (job := db.session.get(Job, job_id)):  # PostgreSQL refuses a %00
        raise AppError("There is no such job. What is done is forgotten after a day.", 404)
    if request.accept_mimetypes.accept_html and request.accept_mimetypes.best != "application/json":
        return render_template("jobs/progress.html", job=job)
    answer = jsonify(state=job.state, progress=job.progress, said=job.said, attempts=job.attempts)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@admin.get("/")
@admins_only
def index() -> str:
    now = time.time()
    counted = select(Job.task, Job.state, func.count()).group_by(Job.task, Job.state).order_by(Job.task, Job.state)
    running = db.session.scalars(select(Job).where(Job.state == RUNNING).order_by(Job.started).limit(LISTED)).all()
    due = select(Job).where(Job.state == QUEUED, Job.due <= now).order_by(Job.due).limit(LISTED)
    waiting = db.session.scalars(due).all()
    place = func.row_number().over(partition_by=Job.task, order_by=Job.ended_at.desc()).label("place")
    places = select(Job.id, place).where(Job.state == PARKED).subquery()
    parked = select(Job).join(places, places.c.id == Job.id).where(places.c.place <= OF_ONE_TASK)
    return render_template(
        "jobs/admin.html",
        counts=db.session.execute(counted).all(),
        running=running,
        waiting=waiting,
        nobody_works=not running and _is_left_undone(now, waiting[0].due if waiting else now),
        parked=db.session.scalars(parked.order_by(Job.ended_at.desc()).limit(LISTED)).all(),
        now=now,
    )


def _is_left_undone(now: float, oldest_due: float) -> bool:
    """What waits does so for too long, or no moment of a periodic task was taken when one should have been."""
    if current_app.extensions["settings"].JOBS == "off":
        return False
    taken = db.session.scalar(select(func.max(Job.due)).where(Job.tick.is_not(None)))
    shortest = min((task.every for task in TASKS.values() if task.every), default=now)
    return now - oldest_due > PATIENCE or now - (taken or now) > 2 * shortest + PATIENCE


@admin.post("/<job_id>/again")
@admins_only
def again(job_id: str) -> Response:
    """A parked job gets all its tries once more."""
    values = {"state": QUEUED, "attempts": 0, "deaths": 0, "due": time.time(), "ended_at": None}
    return _change_parked(job_id, values)


@admin.post("/<job_id>/remove")
@admins_only
def remove(job_id: str) -> Response:
    return _change_parked(job_id, {"state": DONE})


def _change_parked(job_id: str, values: dict[str, object]) -> Response:
    if not _KEY.fullmatch(job_id):
        raise AppError("There is no such job.", 404)
    with write_unit():
        db.session.execute(update(Job).where(Job.id == job_id, Job.state == PARKED).values(values))
    return redirect(url_for("admin_jobs.index"), 303)
