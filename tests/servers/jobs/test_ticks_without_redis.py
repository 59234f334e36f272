"""Machines that share a Redis and no database: a tick that can not be taken there is done by none of them."""

import logging
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from app.extensions import cache, db
from app.extras.jobs import ticks
from app.extras.jobs.models import Job
from app.platform.tasks import Task

EVERY = 3600.0
TASK = Task("tests.tick", lambda: None, False, 0, 0, 60, EVERY)


@pytest.mark.parametrize("works", [True, False], ids=["redis", "redis is down"])
def test_a_tick_that_can_not_be_taken_is_not_done(
    works: bool, make_app: Callable[..., Flask], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with make_app(REDIS_URL=redis_url if works else "redis://127.0.0.1:9/0").app_context():
        hours = ticks.Ticks(TASK, EVERY)
        hours._last -= 1  # one is due
        hours.enqueue_due()
        assert len(db.session.scalars(select(Job).where(Job.task == TASK.name)).all()) == works
        db.session.rollback()
        cache.cache._write_client.close()
