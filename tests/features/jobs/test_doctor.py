"""What the doctor says of jobs."""

import time
from collections.abc import Callable

import pytest
from flask import Flask

from app.extensions import db
from app.extras.jobs.models import DONE, PARKED, QUEUED, Job
from app.platform.database import write_unit
from app.platform.tasks import TASKS
from tests.unit.doctor.conftest import assert_seen, look


@pytest.fixture
def done_elsewhere(make_app: Callable[..., Flask]) -> Flask:
    """Jobs are left to others, as they are with the worker, which may have been deleted."""
    app = make_app(JOBS="external")
    app.extensions.setdefault("enqueue", "somebody")
    return app


def write(app: Flask, **values: object) -> None:
    with app.app_context(), write_unit():
        db.session.query(Job).delete()
        db.session.add(Job(**values))


def test_a_job_that_nobody_does_is_found(done_elsewhere: Flask) -> None:
    app = done_elsewhere
    assert look(app, "jobs.worker").status == "SKIP"  # nothing has been due
    write(app, task="t", state=QUEUED, due=time.time() - 300)
    assert_seen(look(app, "jobs.worker"), "FAIL", "5 minutes")
    soonest = min((task for task in TASKS.values() if task.every), key=lambda task: task.every or 0)
    write(app, task=soonest.name, state=DONE, tick="a", due=time.time() - (soonest.every or 0) - 3600)
    assert_seen(look(app, "jobs.worker"), "FAIL", "Nobody does them")
    write(app, task=soonest.name, state=DONE, tick="a", due=time.time() - 1)
    assert look(app, "jobs.worker").status == "OK"


def test_a_job_that_failed_for_good_is_found(done_elsewhere: Flask) -> None:
    app = done_elsewhere
    write(app, task="mail.send", state=PARKED, due=0)
    assert_seen(look(app, "jobs.parked"), "WARN", "1 × mail.send")
    write(app, task="mail.send", state=DONE, due=0)
    assert look(app, "jobs.parked").status == "OK"


def test_where_nobody_is_to_do_jobs_nothing_is_said_of_them(app: Flask) -> None:
    assert {look(app, identity).status for identity in ("jobs.worker", "jobs.parked")} == {"SKIP"}
