"""A server has one process for jobs beside its web workers: started, replaced and ended with it."""

import contextlib
import http.client
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import servers
from benchmarks.servers import flask
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, is_alive, wait_until
from tests.servers.worker.machine import CHORES, job_processes

Started = Callable[..., "contextlib.AbstractContextManager[Running]"]


@contextlib.contextmanager
def gunicorn(instance: Path, *options: str, **settings: object) -> Iterator[Running]:
    flask(instance, "prepare", **settings)
    flask(instance, "make-chores", application=CHORES, **settings)
    with servers.gunicorn(
        instance, "-w", "2", *options, application=f"{CHORES}:app", JOBS="embedded", **settings
    ) as one:
        yield one


@contextlib.contextmanager
def waitress(instance: Path, **settings: object) -> Iterator[Running]:
    port = free_port()
    settings |= {"JOBS": "embedded", "HOST": "127.0.0.1", "PORT": port, "WORKERS": 2}
    with servers.running([sys.executable, "wsgi.py"], instance, port, "/ready", **settings) as one:
        yield one


@pytest.fixture(params=["gthread", "gevent", "waitress"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    started = waitress(tmp_path) if request.param == "waitress" else gunicorn(tmp_path, "-k", request.param)
    with started as one:
        one.line_with("does jobs")
        yield one


def test_it_is_one_process_that_is_replaced_and_leaves_with_the_server(server: Running) -> None:
    (first,) = job_processes(server)
    os.kill(first, signal.SIGKILL)
    (second,) = wait_until(lambda: [pid for pid in job_processes(server) if pid != first], 30, lambda: server.output)
    server.line_with("the process that does jobs")
    wait_until(lambda: server.output.count("does jobs") == 2, 30, lambda: server.output)
    server.process.terminate()
    assert server.end() == 0
    assert not is_alive(second)
    assert server.output.count(" ends") >= 1


def test_it_leaves_when_the_server_is_killed(server: Running) -> None:
    (process,) = job_processes(server)
    server.process.kill()
    wait_until(lambda: not is_alive(process), 40, lambda: server.output)


def test_what_a_request_enqueues_is_done_outside_of_the_web_workers(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        for number in range(10):
            ask(server.port, f"/chores/note/{number}")
        wait_until(lambda: len(get(server.port, "/traces/note")[2].split(",")) == 10, 30, lambda: server.output)
        (process,) = job_processes(server)
        with contextlib.closing(sqlite3.connect(tmp_path / "app.db")) as database:
            assert database.execute("SELECT DISTINCT pid FROM benchmark_traces").fetchall() == [(process,)]


def ask(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request("POST", path, headers={"Sec-Fetch-Site": "same-origin"})
    assert connection.getresponse().status == 200
    connection.close()


def test_a_stop_waits_for_the_job_that_runs(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        flask(tmp_path, "enqueue", "letter", "1", "--seconds", "3", application=CHORES, JOBS="external")
        wait_until((tmp_path / "letters").exists, 30, lambda: server.output)
        server.process.terminate()
        assert server.end() == 0
        server.line_with("chores.letter is done")


def test_where_jobs_are_done_elsewhere_it_is_not_there(tmp_path: Path) -> None:
    with servers.gunicorn(tmp_path, "-w", "1", application="wsgi:app", ready="/health", JOBS="external") as server:
        time.sleep(2)
        assert job_processes(server) == []


def test_a_reload_brings_a_new_one_and_the_pre_flight_has_none(project: Project) -> None:
    project.port = free_port()
    project.settings["JOBS"] = "embedded"
    started = project.run("start.sh", "-d", "-p", str(project.port), "-w", "1")
    assert started.returncode == 0, started.stderr
    log = next((project.folder / "instance").rglob("*.log"))
    wait_until(lambda: log.read_text().count("does jobs") == 1, 30, log.read_text)
    reloaded = project.run("reload.sh")
    assert reloaded.returncode == 0, reloaded.stderr
    wait_until(lambda: log.read_text().count("does jobs") == 2, 30, log.read_text)
    text = log.read_text()
    assert text.count('"message":"worker') >= 3
    assert text.count(' ends"') == 1


@pytest.mark.parametrize(("jobs", "lines"), [("embedded", 1), ("external", 0)])
def test_a_server_that_starts_none_says_that_nobody_does_jobs(tmp_path: Path, jobs: str, lines: int) -> None:
    flask(tmp_path, "db", "upgrade")
    port = free_port()
    command = [str(Path(sys.executable).with_name("waitress-serve")), f"--listen=127.0.0.1:{port}", "wsgi:app"]
    with servers.running(command, tmp_path, port, "/ready", JOBS=jobs) as server:
        assert server.output.count("nobody does the jobs") == lines
