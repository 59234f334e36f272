"""uWSGI lives through reloads, releases and stops without cutting anybody off; people use kill -9 for all of them."""

import os
import signal
import subprocess
import threading
import time

import pytest

from benchmarks.load import Load
from tests.deploy.uwsgi.server import Uwsgi, uwsgi
from tests.servers.running import get, is_alive, wait_until


def versions(server: Uwsgi) -> set[str]:
    return {get(server.port, "/ready")[2].split('"version": "')[1].split('"')[0] for _ in range(20)}


@pytest.mark.timeout(300)
def test_five_chain_reloads_under_load_lose_nothing() -> None:
    with uwsgi("http", processes=2) as server:
        workers = server.workers()
        with Load(server.port, "/about", "/wait/50", keep_alive=3, close=3, think=0.02, timeout=30) as load:
            for _ in range(5):
                server.reload_one_by_one()
        assert load.result.failed == 0, load.result
        assert load.result.answered > 500
        assert not workers & server.workers()
        print(load.result)  # noqa: T201 - pytest -s shows it, for docs/uwsgi.md


@pytest.mark.timeout(300)
def test_a_new_release_serves_after_a_full_reload_that_loses_nothing() -> None:
    with uwsgi("http", processes=2) as server:
        assert versions(server) == {"one"}
        with Load(server.port, "/about", keep_alive=2, close=2, think=0.05, timeout=60) as load:
            for number in range(2):
                time.sleep(1)
                server.site.point_current_to("two" if number == 0 else "one")
                server.tell("r")
                wait_until(
                    lambda n=number: server.loaded() == server.processes * (n + 2), 90, lambda: server.server.output
                )
        assert load.result.failed == 0, load.result
        assert load.result.answered > 50
        assert versions(server) == {"one"}
        assert server.server.output.count("gracefully (RE)spawned") == 2
        print(load.result)  # noqa: T201


def test_idle_workers_are_replaced_at_once() -> None:
    with uwsgi("http", processes=2) as server:
        server.reload_one_by_one()
        assert "NO MERCY" not in server.server.output


def by_fifo(server: Uwsgi) -> None:
    server.tell("q")


def by_pid_file(server: Uwsgi) -> None:
    os.kill(int((server.run / "uwsgi.pid").read_text()), signal.SIGTERM)


@pytest.mark.parametrize("stop", [by_fifo, by_pid_file])
def test_a_stop_finishes_what_is_running_and_cleans_up(stop: object) -> None:
    with uwsgi("http", processes=2) as server:
        statuses: list[int] = []
        visitor = threading.Thread(target=lambda: statuses.append(get(server.port, "/wait/3000")[0]))
        visitor.start()
        time.sleep(0.5)  # so that it runs
        stop(server)  # type: ignore[operator]
        visitor.join()
        assert server.server.end() == 0
        assert statuses == [200]
        assert [file.name for file in server.run.iterdir()] == ["uwsgi.fifo"]


def test_a_stop_while_workers_are_loading_is_a_stop() -> None:
    """uWSGI alone forgets to tell them, and waits for ever: serving/foreign_parent.py."""
    with uwsgi("http", processes=2, loaded=1) as server:
        server.server.process.terminate()
        assert server.server.end(25) == 0


def test_in_the_background_it_writes_a_log_with_the_access_lines() -> None:
    """As `uwsgi … --daemonize FILE`; the process that was started ends, and the pid file names the one that serves."""
    with uwsgi("http", processes=2) as server:
        server.end()
        command = [*server.command, "--daemonize", str(server.log), "--log-maxsize", "20000"]
        pid_file = server.run / "uwsgi.pid"
        try:
            subprocess.run(command, cwd="/", check=True, capture_output=True, timeout=60)
            wait_until(lambda: server.log.read_text().count("(default app)") == 4, 60, server.log.read_text)
            ids = {get(server.port, "/about")[1]["x-request-id"] for _ in range(100)}
            earlier = server.log.with_name("uwsgi.log.1")
            wait_until(earlier.exists, 10)
            assert pid_file.stat().st_mode & 0o007 == 0, "what it makes is not for everybody"
            wait_until(lambda: all(name in earlier.read_text() + server.log.read_text() for name in ids), 10)
        finally:
            pid = int(pid_file.read_text())
            server.tell("q")
            wait_until(lambda: not is_alive(pid), 40)
            server.forget(pid)
