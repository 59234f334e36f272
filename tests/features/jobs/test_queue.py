"""What becomes of a job: tried again, parked, done alone; and of the moments that were missed."""

import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import DataError, OperationalError

from app.extensions import db
from app.extras.jobs import queue, ticks
from app.extras.jobs.models import DONE, PARKED, QUEUED, RUNNING, Job
from app.platform.database import utc_now, write_unit
from app.platform.tasks import TASKS, Task, periodic, task

WORKER = "one"


@pytest.fixture(autouse=True)
def own_tasks() -> Iterator[None]:
    before = dict(TASKS)
    yield
    TASKS.clear()
    TASKS.update(before)


@pytest.fixture
def once() -> Task:
    return task(name="tests.once", retries=0)(lambda: None)


@pytest.fixture
def every_second() -> Task:
    return periodic(seconds=1, name="tests.every_second")(lambda: None)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    made = make_app(JOBS="external")
    with made.app_context():
        yield made


def add(count: int = 1, **values: object) -> None:
    with write_unit():
        for _ in range(count):
            db.session.add(Job(**{"task": "tests.once", "due": time.time() - 1, **values}))


def states() -> list[str]:
    found = list(db.session.scalars(select(Job.state).order_by(Job.due)))
    db.session.rollback()
    return found


def claim(count: int = 4, is_idle: bool = True) -> list[queue.Claimed]:
    return queue.claim(WORKER, count, is_idle)


def locked() -> None:
    raise OperationalError("INSERT", {}, Exception("database is locked"))


def test_a_job_that_has_ended_two_processes_is_done_alone_and_parked_with_the_third(app: Flask, once: Task) -> None:
    add(4)
    for _ in range(2):
        assert len(claim()) == 4
        queue.take_back(WORKER)
        with write_unit():
            for job in db.session.scalars(select(Job)):
                job.due = time.time() - 1
    assert claim(is_idle=False) == []
    (suspect,) = claim()
    assert suspect.is_alone
    queue.take_back(WORKER)  # it was this one
    for _ in range(3):
        (innocent,) = claim()
        queue.finish(innocent)
    assert sorted(states()) == [DONE, DONE, DONE, PARKED]


def test_deaths_of_its_process_are_no_tries(app: Flask, once: Task) -> None:
    add()
    claim()
    queue.take_back(WORKER)
    (job,) = claim()
    assert job.tries == 1
    assert queue.fail(job, "on purpose") == (True, True)


def test_a_worker_that_leaves_gives_its_jobs_back_as_if_nothing_had_been(app: Flask, once: Task) -> None:
    for _ in range(5):
        add() if not states() else None
        claim()
        queue.take_back(WORKER, has_died=False)
    job = db.session.scalars(select(Job)).one()
    assert (job.state, job.attempts, job.deaths) == (QUEUED, 0, 0)


def test_what_still_runs_here_is_neither_taken_back_nor_claimed_again(app: Flask, once: Task) -> None:
    add(2)
    runs, lost = claim()
    assert queue.take_back(WORKER, [runs.id]) == 1
    assert queue.claim("its new name", 4, False, [lost.id]) == []
    (again,) = queue.claim("its new name", 4, False, [runs.id])
    assert again.id == lost.id
    queue.finish(runs)


def test_a_job_goes_on_under_another_name_of_its_worker(app: Flask, once: Task) -> None:
    add(2)
    ends, stays = claim()
    queue.rename(WORKER, "two", [ends, stays])
    assert queue.owners() == ["two"]
    queue.finish(ends)
    assert queue.take_back("two") == 1
    queue.rename("two", "three", [stays])
    with pytest.raises(queue.NotOursError):
        queue.finish(stays)


def test_a_periodic_task_that_fails_is_news_once_until_it_works_again(app: Flask, every_second: Task) -> None:
    def fails(number: int) -> bool:
        add(task=every_second.name, tick=f"tests.every_second {number}")
        return queue.fail(claim()[0], "on purpose")[1]

    assert [fails(1), fails(2), fails(3)] == [True, False, False]
    assert states().count(PARKED) == 1
    add(task=every_second.name, tick="tests.every_second 4")
    queue.finish(claim()[0])
    assert states().count(PARKED) == 0
    assert fails(5)


def taken(seconds: Task) -> list[int]:
    """The moments that are enqueued, each done before the next is asked for."""
    moments, every = ticks.Ticks(seconds, 1), []
    for _ in range(40):
        moments.enqueue_due()
        for job in claim():
            every.append(int(job.request_id.rpartition(" ")[2]))
            queue.finish(job)
    return every


@pytest.mark.parametrize(("away", "made_up"), [(3, 3), (60, 31)], ids=["a short pause", "a long one"])
def test_what_a_pause_has_missed_is_made_up(
    app: Flask, every_second: Task, away: int, made_up: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time()) + 0.5
    monkeypatch.setattr(ticks.time, "time", lambda: now)
    add(task=every_second.name, tick="tests.every_second 0", due=int(now) - away, state=DONE, ended_at=utc_now())
    assert taken(every_second) == list(range(int(now) - made_up + 1, int(now) + 1))


def test_runs_of_one_task_do_not_overlap(app: Flask, every_second: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time()) + 0.5
    monkeypatch.setattr(ticks.time, "time", lambda: now)
    moments = ticks.Ticks(every_second, 1)
    now += 1
    moments.enqueue_due()
    now += 1
    moments.enqueue_due()
    assert states() == [QUEUED]


def test_of_two_machines_that_take_one_moment_one_gets_it_and_the_other_no_error(
    app: Flask, every_second: Task
) -> None:
    one, other = ticks.Ticks(every_second, 1), ticks.Ticks(every_second, 1)
    one._last -= 1
    other._last -= 1
    one.enqueue_due()
    queue.finish(claim()[0])
    other.enqueue_due()
    assert states() == [DONE]


def test_a_moment_that_could_not_be_written_is_written_later(
    app: Flask, every_second: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = ticks.Ticks(every_second, 3600)
    moments._last -= 1
    with monkeypatch.context() as broken:
        broken.setattr(ticks, "write_unit", locked)
        with pytest.raises(OperationalError):
            moments.enqueue_due()
    assert states() == []
    moments.enqueue_due()
    moments.enqueue_due()
    assert states() == [QUEUED]


def test_a_moment_that_can_not_be_written_at_all_holds_no_others_up(
    app: Flask, every_second: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise DataError("INSERT", {}, Exception("value too long"))

    moments = ticks.Ticks(every_second, 3600)
    moments._last -= 1
    monkeypatch.setattr(moments, "_write", refused)
    with pytest.raises(DataError):
        moments.enqueue_due()
    moments.enqueue_due()


def test_the_newest_moment_is_not_forgotten_with_the_others(app: Flask, every_second: Task) -> None:
    long_ago = utc_now() - 2 * queue.KEPT[PARKED]
    for number in range(3):
        tick = {"tick": f"tests.every_second {number}", "due": float(number)}
        add(task=every_second.name, state=DONE, ended_at=long_ago, **tick)
    add(state=DONE, ended_at=long_ago)
    add(state=RUNNING)
    queue.clean_up()
    assert sorted(states()) == [DONE, RUNNING]
    assert db.session.scalar(select(Job.tick).where(Job.state == DONE)) == "tests.every_second 2"
