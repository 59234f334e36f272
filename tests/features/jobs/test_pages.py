"""What people see of jobs: the progress of theirs; for admins the counts, and what failed for good."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, request
from sqlalchemy import select

from app.extensions import db
from app.extras.jobs import queue
from app.extras.jobs.models import DONE, PARKED, RUNNING, Job
from app.platform.database import utc_now, write_unit
from app.platform.tasks import task
from tests.features.conftest import Visitor

DONE_NOW: list[str] = []


@task(name="tests.greet", atomic=True)
def greet(name: str) -> None:
    DONE_NOW.append(name)


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE_NOW.clear()


@pytest.fixture
def admin(app: Flask) -> Visitor:
    """Whichever feature knows who is one."""
    app.extensions["is_admin"] = lambda: request.cookies.get("who") == "admin"
    client = app.test_client()
    client.set_cookie("who", "admin")
    return Visitor(client)


def add(app: Flask, **values: object) -> str:
    with app.app_context(), write_unit():
        job = Job(**{"task": "tests.greet", "due": time.time(), **values})
        db.session.add(job)
        db.session.flush()
        return job.id


def test_who_knows_the_key_of_a_job_sees_how_far_it_is(app: Flask, visitor: Visitor) -> None:
    key = add(app, state=RUNNING, progress=40, said="step 4 <of 10>")
    answer = visitor.get(f"/jobs/{key}", headers={"Accept": "application/json"})
    assert answer.json == {"state": "running", "progress": 40, "said": "step 4 <of 10>", "attempts": 0}
    assert answer.headers["Cache-Control"] == "no-store"
    page = visitor.get(f"/jobs/{key}", headers={"Accept": "text/html"}).text
    assert 'value="40"' in page
    assert "step 4 &lt;of 10&gt;" in page


def test_a_job_that_nobody_knows_is_a_404(visitor: Visitor) -> None:
    assert visitor.get("/jobs/nothing").status_code == 404


def test_admins_see_what_is_parked_and_let_it_be_tried_again(app: Flask, admin: Visitor) -> None:
    key = add(app, state=PARKED, attempts=6, error="Traceback\nRuntimeError: on purpose", ended_at=utc_now())
    page = admin.get("/admin/jobs/").text
    assert "RuntimeError: on purpose" in page
    assert admin.send(f"/admin/jobs/{key}/again", form_at="/admin/jobs/").status_code == 303
    with app.app_context():
        job = db.session.get_one(Job, key)
        assert (job.state, job.attempts) == ("queued", 0)


def test_admins_may_forget_it(app: Flask, admin: Visitor) -> None:
    key = add(app, state=PARKED, ended_at=utc_now())
    admin.send(f"/admin/jobs/{key}/remove", form_at="/admin/jobs/")
    with app.app_context():
        assert db.session.get_one(Job, key).state == DONE
    assert "Forget" not in admin.get("/admin/jobs/").text


def test_admins_see_what_runs_where_and_what_waits_for_how_long(app: Flask, admin: Visitor) -> None:
    now = time.time()
    add(app, state=RUNNING, worker="w0rk3r", started=now - 90, progress=30, said="posts", task="tests.long")
    add(app, due=now - 40, task="tests.waits", request_id="r-1")
    add(app, due=now + 600, task="tests.tomorrow")
    page = " ".join(admin.get("/admin/jobs/").text.split())
    assert re.search(r"tests\.long</b>.*?for 9\d s.*?by worker w0rk3r.*?30 % posts", page)
    assert re.search(r"tests\.waits</b>.*?for 4\d s.*?request r-1", page)
    assert page.count("tests.tomorrow") == 1, "only counted"


@pytest.mark.parametrize(
    ("jobs", "rows", "is_said"),
    [
        ("external", [], False),
        ("external", [{"due": -5}], False),
        ("external", [{"due": -90}], True),
        ("external", [{"due": -90}, {"due": -200, "state": RUNNING, "started": 0}], False),
        ("external", [{"due": -4000, "state": DONE, "tick": "tests.hour 1"}], True),
        ("off", [{"due": -90}], False),
    ],
    ids=["an empty queue", "a moment", "too long", "one is at it", "missed moments", "nobody should"],
)
def test_admins_are_told_when_nobody_does_jobs(
    make_app: Callable[..., Flask], jobs: str, rows: list[dict[str, Any]], is_said: bool
) -> None:
    app = make_app(JOBS=jobs)
    app.extensions["is_admin"] = lambda: True
    for row in rows:
        add(app, **(row | {"due": time.time() + row["due"]}))
    assert ("Nobody does jobs" in app.test_client().get("/admin/jobs/").text) == is_said


def test_a_task_that_fails_again_and_again_hides_no_other(app: Flask, admin: Visitor) -> None:
    add(app, state=PARKED, task="tests.important", ended_at=utc_now() - timedelta(days=1))
    for _ in range(60):
        add(app, state=PARKED, ended_at=utc_now())
    assert "Traceback of tests.important" in admin.get("/admin/jobs/").text


def test_others_see_none_of_this(visitor: Visitor) -> None:
    assert visitor.get("/admin/jobs/").status_code == 404


def ask_in_vain() -> None:
    with write_unit():
        greet.later("Bob")
        raise RuntimeError("rolled back")


def test_a_task_is_done_at_once_where_nobody_does_jobs_but_after_the_unit(app: Flask) -> None:
    with app.app_context():
        with write_unit():
            assert greet.later("Ada") is None
            assert DONE_NOW == []
        assert DONE_NOW == ["Ada"]
        with pytest.raises(RuntimeError, match="rolled back"):
            ask_in_vain()
        assert DONE_NOW == ["Ada"]


def test_a_job_is_there_if_and_only_if_the_unit_commits(app: Flask) -> None:
    app.extensions["enqueue"] = queue.enqueue
    with app.app_context():
        with write_unit():
            key = greet.later("Ada")
        assert db.session.get_one(Job, key).arguments == '["Ada"]'
        with pytest.raises(RuntimeError, match="rolled back"):
            ask_in_vain()
        assert db.session.scalars(select(Job.id)).all() == [key]
        assert db.session.get_one(Job, greet.later("Eve", after=60)).due > time.time() + 50


def test_two_tasks_can_not_have_one_name() -> None:
    with pytest.raises(ValueError, match="Two tasks have the name"):

        @task(name="tests.greet")
        def other() -> None:
            pass
