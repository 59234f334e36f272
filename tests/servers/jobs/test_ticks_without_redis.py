"""Machines that share a Redis and no database: each tick is taken there, and one that can not be is done by none."""

import logging
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

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


def test_what_one_can_not_write_another_takes(
    make_app: Callable[..., Flask], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked() -> None:
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    with make_app(REDIS_URL=redis_url).app_context():
        one, other = ticks.Ticks(TASK, EVERY), ticks.Ticks(TASK, EVERY)
        one._last = other._last = one._last - 2
        with monkeypatch.context() as broken:
            broken.setattr(ticks, "write_unit", locked)
            with pytest.raises(OperationalError):
                one.enqueue_due()
        other.enqueue_due()
        assert len(db.session.scalars(select(Job).where(Job.task == TASK.name)).all()) == 1
        db.session.rollback()
        cache.cache._write_client.close()
