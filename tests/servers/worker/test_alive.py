"""Which workers live: their locks tell, and asking for ten of them is one question."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event

from app.extensions import db
from app.extras.worker.alive import FORGOTTEN, Sign

DEAD = [f"dead{number}" for number in range(9)]


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, make_app: Callable[..., Flask]) -> Iterator[Flask]:
    stored = {"DATABASE_URL": request.getfixturevalue("database_url")} if request.param == "postgresql" else {}
    app = make_app(**stored)
    with app.app_context():
        yield app


def test_one_question_finds_the_dead_and_leaves_the_living(app: Flask) -> None:
    living, asking = Sign(app.instance_path), Sign(app.instance_path)
    assert living.is_given()
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    assert asking.dead_among([living.name, *DEAD]) == DEAD
    assert len(asked) <= 1
    assert living.renew()
    living.take_away()
    assert asking.dead_among([living.name]) == [living.name]


def test_files_of_killed_workers_are_removed_and_no_others(app: Flask) -> None:
    run = Path(app.instance_path, "run")
    run.mkdir(exist_ok=True)
    (run / "worker-dead.lock").touch()
    living, asking = Sign(app.instance_path), Sign(app.instance_path)
    living.is_given()
    asking.is_given()
    kept = set(run.glob("worker-*.lock")) - {run / "worker-dead.lock"}
    asking.clean_up()
    assert set(run.glob("worker-*.lock")) == kept
    living.take_away()
    asking.take_away()
    assert not list(run.glob("worker-*.lock"))


def test_the_pulse_is_a_file_that_leaves_with_its_worker(app: Flask) -> None:
    run = Path(app.instance_path, "run")
    sign = Sign(app.instance_path)
    assert sign.is_given()
    sign.show_pulse()
    (pulse,) = run.glob("worker-*.alive")
    assert pulse.name.endswith(f"-{os.getpid()}.alive")
    killed, neighbour = run / "worker-elsewhere-1.alive", run / "worker-elsewhere-2.alive"
    killed.touch()
    neighbour.touch()
    long_ago = time.time() - FORGOTTEN - 1
    os.utime(killed, (long_ago, long_ago))
    sign.clean_up()
    assert set(run.glob("worker-*.alive")) == {pulse, neighbour}
    sign.take_away()
    assert not pulse.exists()
