"""What Prometheus is told of the queue."""

import time
from collections.abc import Callable

import pytest
from flask import Flask

from app.extensions import db
from app.extras.jobs.models import DONE, PARKED, QUEUED, RUNNING, Job
from app.platform.database import write_unit


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(JOBS="external")


def told(app: Flask) -> dict[str, float]:
    lines = [line for line in app.test_client().get("/metrics").text.splitlines() if line.startswith("jobs")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_jobs_are_counted_by_state_and_the_oldest_that_is_due_has_an_age(app: Flask) -> None:
    now = time.time()
    with app.app_context(), write_unit():
        for state, due in ((QUEUED, now - 90), (QUEUED, now - 10), (QUEUED, now + 500), (RUNNING, now - 900)):
            db.session.add(Job(task="t", state=state, due=due))
        db.session.add_all([Job(task="t", state=PARKED, due=now - 9000), Job(task="t", state=DONE, due=now - 9000)])
    found = told(app)
    assert found['jobs{state="queued"}'] == 3
    assert found['jobs{state="running"}'] == found['jobs{state="parked"}'] == 1
    assert 90 <= found["jobs_oldest_due_age_seconds"] < 150


def test_an_empty_queue_is_zeros_so_that_an_alert_sees_the_first(app: Flask) -> None:
    assert set(told(app).values()) == {0.0}
    assert len(told(app)) == 4


def test_a_job_for_later_has_no_age(app: Flask) -> None:
    with app.app_context(), write_unit():
        db.session.add(Job(task="t", due=time.time() + 60))
    assert told(app)["jobs_oldest_due_age_seconds"] == 0


def test_without_jobs_nothing_is_told_of_them(make_app: Callable[..., Flask]) -> None:
    assert told(make_app(JOBS="off")) == {}


def test_a_table_that_is_not_there_takes_no_other_count_with_it(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with app.app_context(), db.engine.begin() as connection:
        Job.__table__.drop(connection)  # type: ignore[attr-defined]
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    assert "http_requests" in answer.text
    assert told(app) == {}
    assert "no such table" in caplog.text
