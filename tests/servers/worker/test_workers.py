"""`flask worker`: each job is done, once, whatever becomes of the processes that do it."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment, flask
from tests.servers import services
from tests.servers.running import Running, wait_until
from tests.servers.worker.machine import CHORES, Machine, machine


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine on each kind of database."""
    settings = {}
    if request.param == "postgresql":
        settings["DATABASE_URL"] = request.getfixturevalue("fresh_database_url")
    with machine(tmp_path / "one", **settings) as made:
        yield made


@pytest.fixture
def fresh_database_url() -> Iterator[str]:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres() as url:
        yield url


def is_done(shop: Machine, count: int) -> bool:
    return shop.states() == {"done": count}


def test_two_workers_share_the_work_and_nothing_is_done_twice(shop: Machine) -> None:
    shop.start_worker()
    shop.start_worker()
    shop.flask("enqueue", "note", "100", "--seconds", "0.02")
    wait_until(lambda: is_done(shop, 100), 60, lambda: str(shop.states()))
    assert shop.traces("note") == dict.fromkeys(range(100), 1)
    assert len(shop.rows("SELECT DISTINCT pid FROM benchmark_traces")) == 2


def test_the_work_is_done_through_pgbouncer_too(fresh_database_url: str, tmp_path: Path) -> None:
    """Each worker keeps one of its connections for its lock; so many more it must have."""
    if not services.pgbouncer_binary():
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    with (
        services.pgbouncer(fresh_database_url, 4) as url,
        machine(tmp_path / "one", DATABASE_URL=url) as shop,
    ):
        shop.flask("enqueue", "note", "60", "--seconds", "0.5")
        _, killed = [shop.start_worker(wait=False) for _ in range(2)]  # both at once: neither does all while one starts
        killed.line_with("does jobs")
        wait_until(lambda: "running" in shop.states(), 10, lambda: str(shop.states()))
        os.kill(killed.process.pid, signal.SIGKILL)
        wait_until(lambda: is_done(shop, 60), 60, lambda: str(shop.states()))
        assert shop.traces("note") == dict.fromkeys(range(60), 1)


@pytest.mark.timeout(300)
def test_what_is_killed_in_the_middle_is_done_once_in_the_database_and_at_least_once_elsewhere(shop: Machine) -> None:
    """20 kills; a job that writes rows, and one that does what can not be taken back."""
    shop.flask("enqueue", "note", "100", "--seconds", "0.1")
    shop.flask("enqueue", "letter", "100", "--seconds", "0.4")
    for number in range(20):
        worker = shop.start_worker()
        wait_until(lambda: "running" in shop.states(), 10, lambda: str(shop.states()))
        time.sleep(number % 10 / 100)  # another place in the work each time
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.end()
    shop.start_worker()
    wait_until(lambda: is_done(shop, 200), 90, lambda: str(shop.states()))
    assert shop.traces("note") == dict.fromkeys(range(100), 1)
    assert set(shop.letters()) == set(range(100))


def test_a_stop_waits_for_the_job_that_runs(shop: Machine) -> None:
    shop.flask("enqueue", "note", "1", "--seconds", "5")
    worker = shop.start_worker()
    wait_until(lambda: shop.states() == {"running": 1}, 10, lambda: str(shop.states()))
    worker.process.terminate()
    assert worker.end() == 0
    assert is_done(shop, 1)
    assert list((shop.instance / "run").glob("worker-*")) == []


def test_a_job_that_fails_is_tried_again_then_parked_and_the_log_says_so(shop: Machine) -> None:
    shop.flask("enqueue", "broken", "1")
    worker = shop.start_worker()
    worker.line_with("chores.broken failed for the 3. time and is parked")
    assert shop.states() == {"parked": 1}
    ((attempts, error),) = shop.rows("SELECT attempts, error FROM jobs")
    assert attempts == 3
    assert str(error).endswith("RuntimeError: on purpose\n")


def test_a_job_that_kills_its_process_each_time_is_parked_and_the_others_are_done(shop: Machine) -> None:
    shop.flask("enqueue", "poison", "1")
    shop.flask("enqueue", "note", "20")
    for _ in range(5):
        worker = shop.start_worker()
        if worker.process.poll() is None and shop.states().get("parked"):
            break
        wait_until(lambda worker=worker: worker.process.poll() is not None or shop.states().get("parked"), 20)
    wait_until(lambda: shop.states() == {"parked": 1, "done": 20}, 20, lambda: str(shop.states()))
    assert shop.traces("note") == dict.fromkeys(range(20), 1)


def test_a_job_that_this_release_does_not_know_waits_for_one_that_does(shop: Machine) -> None:
    shop.flask("enqueue", "note", "1")
    shop.rows("SELECT 1")
    with shop._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET task = 'of.tomorrow'")
    shop.flask("enqueue", "letter", "1")
    shop.start_worker()
    wait_until(lambda: shop.states() == {"queued": 1, "done": 1}, 20, lambda: str(shop.states()))


@pytest.mark.parametrize("shop", ["postgresql"], indirect=True)
def test_a_worker_that_hangs_loses_its_jobs_and_marks_nothing(shop: Machine) -> None:
    """As when its machine is suspended. On one machine, with SQLite, it is no other than a slow one."""
    shop.flask("enqueue", "letter", "1", "--seconds", "5")
    first = shop.start_worker()
    wait_until(lambda: shop.states() == {"running": 1}, 10, lambda: str(shop.states()))
    os.kill(first.process.pid, signal.SIGSTOP)
    second = shop.start_worker()
    second.line_with("is dead, its 1 jobs are due again", 40)
    second.line_with("chores.letter is done", 20)
    os.kill(first.process.pid, signal.SIGCONT)
    first.line_with("was done twice", 20)
    assert shop.states() == {"done": 1}
    shop.flask("enqueue", "letter", "1")
    wait_until(lambda: is_done(shop, 2), 20)


@pytest.mark.parametrize("shop", ["postgresql"], indirect=True)
def test_a_worker_that_loses_its_sessions_begins_nothing_again_that_it_still_does(shop: Machine) -> None:
    """As when PostgreSQL starts anew: its lock is gone, and its name with it; its jobs are not. Nor are others."""
    shop.flask("enqueue", "letter", "8", "--seconds", "20")
    workers = [shop.start_worker(wait=False) for _ in range(2)]  # both at once: neither is through while one starts
    wait_until(lambda: shop.states() == {"running": 8}, 30, lambda: str(shop.states()))
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert shop.rows(f"SELECT pg_terminate_backend(pid) {others}")
    for worker in workers:
        worker.line_with("lost the lock", 20)
    wait_until(lambda: is_done(shop, 8), 60, lambda: str(shop.states()))
    assert shop.letters() == dict.fromkeys(range(8), 1)
    assert shop.rows("SELECT DISTINCT attempts, deaths FROM jobs WHERE tick IS NULL") == [(1, 0)]


def processor_seconds(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def test_a_stop_that_waits_for_one_of_several_jobs_is_idle(shop: Machine) -> None:
    shop.flask("enqueue", "letter", "1", "--seconds", "10")
    shop.flask("enqueue", "letter", "1", "--seconds", "4")
    worker = shop.start_worker()
    wait_until(lambda: shop.states() == {"running": 2}, 10, lambda: str(shop.states()))
    worker.process.terminate()
    worker.line_with("chores.letter is done")
    used = processor_seconds(worker.process.pid)
    time.sleep(2)
    assert processor_seconds(worker.process.pid) - used < 0.5
    assert worker.end() == 0
    assert is_done(shop, 2)


def test_a_database_that_is_away_for_a_while_ends_no_worker(tmp_path: Path) -> None:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres_server() as server, machine(tmp_path / "one", DATABASE_URL=server.url) as shop:
        worker = shop.start_worker()
        server.stop()
        worker.line_with("the jobs wait for the database", 20)
        server.start()
        shop.flask("enqueue", "note", "3")
        wait_until(lambda: is_done(shop, 3), 20)
        assert worker.process.poll() is None


def test_a_worker_that_was_started_before_the_migration_works_after_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with machine(tmp_path / "two") as other:
        command, early = other.command, tmp_path / "one"
        worker = Running(command, cwd=ROOT, env=environment(early, JOBS="external"))
        try:
            worker.line_with("the jobs wait for the database")
            for arguments in (("db", "upgrade"), ("make-chores",), ("enqueue", "letter", "1")):
                flask(early, *arguments, application=CHORES, JOBS="external")
            worker.line_with("chores.letter is done")
        finally:
            worker.kill()


def test_a_task_that_writes_outside_of_a_unit_fails_for_all_to_see(shop: Machine) -> None:
    shop.flask("enqueue", "careless", "1")
    worker = shop.start_worker()
    worker.line_with("chores.careless failed for the 1. time and is parked")
    ((error,),) = shop.rows("SELECT error FROM jobs")
    assert "outside of this write_unit()" in str(error)


def test_a_task_that_wants_to_end_its_process_ends_alone(shop: Machine) -> None:
    shop.flask("enqueue", "leaver", "1")
    shop.flask("enqueue", "letter", "1")
    worker = shop.start_worker()
    worker.line_with("chores.leaver failed for the 1. time and is parked")
    worker.line_with("chores.letter is done")


@pytest.mark.parametrize("hangs", ["hangs", "hangs_writing"])
def test_a_job_over_its_limit_ends_its_process_and_not_the_others(shop: Machine, hangs: str) -> None:
    shop.flask("enqueue", hangs, "1")
    worker = shop.start_worker()
    worker.line_with(f"chores.{hangs} takes longer than its limit of 1 s")
    assert worker.end() == 1
    for _ in range(2):  # on SQLite who hangs in a unit lets nobody write that it hangs: that is a death, and no try
        if shop.states() != {"parked": 1}:
            assert shop.start_worker().end() == 1
    if shop.states() != {"parked": 1}:
        shop.start_worker()
    wait_until(lambda: shop.states() == {"parked": 1}, 20, lambda: str(shop.states()))


def test_what_a_stop_cuts_off_is_due_again_as_if_nothing_had_been(shop: Machine) -> None:
    shop.flask("enqueue", "letter", "1", "--seconds", "60")
    worker = shop.start_worker()
    wait_until(lambda: shop.states() == {"running": 1}, 10)
    worker.process.terminate()
    assert worker.end(45) == 0
    assert "1 jobs are left to others" in worker.output
    assert shop.rows("SELECT state, attempts, deaths FROM jobs") == [("queued", 0, 0)]


def test_runs_of_a_periodic_task_that_takes_longer_than_its_period_do_not_overlap(tmp_path: Path) -> None:
    with machine(tmp_path / "one", TICKING=1, TICK_TAKES=2.5) as shop:
        shop.start_worker()
        wait_until(lambda: len(shop.rows("SELECT 1 FROM benchmark_traces WHERE what = 'tick'")) >= 3, 40)
        at = sorted(
            float(str(moment)) for (moment,) in shop.rows("SELECT at FROM benchmark_traces WHERE what = 'tick'")
        )
        assert all(later - earlier >= 2.4 for earlier, later in itertools.pairwise(at))
        assert len(shop.rows("SELECT 1 FROM jobs WHERE tick IS NOT NULL AND state = 'queued'")) <= 5
