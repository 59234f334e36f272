"""What other sessions do between two statements, where no lock on the whole database keeps them from it."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app.extensions import db
from app.extras.jobs import queue
from app.extras.jobs.models import DONE, RUNNING, Job
from app.platform.database import write_unit


@pytest.fixture
def app(make_app: Callable[..., Flask], database_url: str) -> Iterator[Flask]:
    app = make_app(DATABASE_URL=database_url)
    with app.app_context():
        db.create_all()
        yield app
        db.drop_all()


def test_what_ends_while_it_is_taken_back_is_not_done_again(app: Flask) -> None:
    with write_unit():
        db.session.add_all(
            Job(id=name, task="tests.once", due=0, state=RUNNING, worker="one") for name in ("ends", "hangs")
        )
    with db.engine.connect() as its_own:
        its_own.execute(update(Job).where(Job.id == "ends").values(state=DONE, worker=None))
        assert queue.take_back("one") == 1
        its_own.commit()
    assert db.session.scalar(select(Job.state).where(Job.id == "ends")) == DONE
    db.session.rollback()
    assert queue.take_back("one") == 0


def test_a_key_that_no_job_can_have_is_unknown(app: Flask) -> None:
    assert app.test_client().get("/jobs/%00").status_code == 404
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Job)) == 0
        db.session.rollback()
