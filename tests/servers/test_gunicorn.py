"""The real Gunicorn with the project's gunicorn.conf.py: what visitors get, and what happens to workers."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import ROOT, environment, gunicorn, running
from serving import metrics_folder
from tests.servers.running import free_port, get, is_alive, wait_until

WORKERS = ["sync", "gthread", "gevent"]
PAGES = ["/", "/about", "/counters/", "/counters/1", "/counters/20", "/health", "/up", "/ready"]
GUNICORN = str(Path(sys.executable).with_name("gunicorn"))


@pytest.mark.parametrize("worker_class", WORKERS)
def test_every_page_is_served(instance: Path, worker_class: str) -> None:
    with gunicorn(instance, "-w", "2", WORKER_CLASS=worker_class) as server:
        assert {path: get(server.port, path)[0] for path in PAGES} == dict.fromkeys(PAGES, 200)
        assert get(server.port, "/nothing/here")[0] == 404
        assert get(server.port, "/")[1]["x-request-id"]


@pytest.mark.parametrize("worker_class", WORKERS)
def test_a_stop_answers_the_request_that_is_running(instance: Path, worker_class: str) -> None:
    with gunicorn(instance, "-w", "1", WORKER_CLASS=worker_class) as server:
        answers: list[int] = []
        slow = threading.Thread(target=lambda: answers.append(get(server.port, "/wait/1500")[0]))
        slow.start()
        time.sleep(0.5)
        server.process.terminate()
        slow.join(10)
        assert answers == [200]
        assert server.end() == 0


@pytest.mark.alone
@pytest.mark.parametrize("worker_class", WORKERS)
def test_a_killed_worker_is_replaced_within_two_seconds(instance: Path, worker_class: str) -> None:
    with gunicorn(instance, "-w", "2", WORKER_CLASS=worker_class) as server:
        wait_until(lambda: len(server.children()) == 2, 5)
        victim, other = server.children()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(set(server.children()) - {victim}) == 2, 2)
        assert other in server.children()
        assert get(server.port, "/")[0] == 200


def test_a_recycled_worker_costs_no_request(instance: Path) -> None:
    options = ("-w", "2", "--max-requests", "150", "--max-requests-jitter", "50")
    with gunicorn(instance, *options, LOG_LEVEL="INFO") as server:
        result = Load(server.port, "/", "/counters/", keep_alive=4, close=4).run_until(600)
        assert result.failed == 0, result
        assert result.answered >= 600
        wait_until(lambda: server.output.count("Booting worker") > 2, 10, lambda: server.output[-2000:])


def test_one_start_line_says_what_runs(instance: Path) -> None:
    with gunicorn(instance, "-w", "2", application="wsgi:app") as server:
        line = json.loads(server.line_with("gthread workers"))
        assert re.fullmatch(
            r"Groundwork \w+: Gunicorn with 2 gthread workers x 16 threads, database sqlite, cache sqlite",
            line["message"],
        )


def test_metrics_add_up_over_all_workers_and_over_a_killed_one(instance: Path) -> None:
    def counted() -> int:
        found = re.search(r'^http_requests_total\{.*route="/about".*\} (\d+)', get(server.port, "/metrics")[2], re.M)
        return int(found[1]) if found else 0

    with gunicorn(instance, "-w", "3", application="wsgi:app") as server:
        for _ in range(40):
            get(server.port, "/about")
        # A request is counted after its last byte: a client may have its answer a moment before that.
        wait_until(lambda: counted() == 40, 20, lambda: str(counted()))
        victim = server.children()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in server.children() and len(server.children()) == 3, 20)
        for _ in range(10):
            get(server.port, "/about")
        wait_until(lambda: counted() == 50, 20, lambda: str(counted()))


def test_the_metrics_folder_goes_with_the_server(instance: Path) -> None:
    with gunicorn(instance, application="wsgi:app") as server:
        get(server.port, "/")
        folder = metrics_folder.folder_of(instance, server.process.pid)
        assert list(folder.iterdir())
        server.process.terminate()
        server.end()
    assert not folder.exists()


def test_the_metrics_folder_of_a_killed_server_goes_with_the_next_one(instance: Path) -> None:
    with gunicorn(instance, application="wsgi:app") as server:
        folder = metrics_folder.folder_of(instance, server.process.pid)
    assert folder.exists()
    with gunicorn(instance, application="wsgi:app"):
        assert not folder.exists()


@pytest.mark.alone
def test_gevent_waits_for_many_requests_at_once_in_one_worker(instance: Path) -> None:
    """Without patching first, preload makes a waiting page block the whole worker: 64 x 0.2 s would take 13 s."""
    with gunicorn(instance, "-k", "gevent", "-w", "1") as server:
        started = time.monotonic()
        result = Load(server.port, "/wait/200", keep_alive=64, close=0, think=0).run_for(1.5)
        assert result.failed == 0
        assert result.answered > 64 * 3, time.monotonic() - started
        assert "gevent with SQLite" in server.output


def test_a_stuck_worker_is_replaced_and_says_what_it_was_doing(instance: Path) -> None:
    with gunicorn(instance, "-w", "1", "-k", "sync", "--timeout", "1") as server:
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert get(server.port, "/wait/8000")[0] == 500
        server.line_with("is stuck; its stacks follow")
        server.line_with("in wait")
        assert get(server.port, "/")[0] == 200


@pytest.mark.alone
@pytest.mark.parametrize(
    "unfinished",
    [
        b"POST /about HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: b",
    ],
    ids=["body", "header"],
)
def test_clients_that_fall_silent_in_a_request_give_the_threads_back(instance: Path, unfinished: bytes) -> None:
    with gunicorn(instance, "-w", "1", THREADS=4) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(8)]
        for connection in silent:
            connection.sendall(unfinished)
        wait_until(lambda: _status(server.port) == 200, 40)
        started = time.monotonic()
        assert [_status(server.port) for _ in range(5)] == [200] * 5
        assert time.monotonic() - started < 2
        assert "Traceback" not in server.output
        for connection in silent:
            connection.close()


@pytest.mark.alone
def test_as_many_requests_as_there_are_threads_are_served_at_once(instance: Path) -> None:
    """A worker takes no fifth request for its four threads while the other worker has one free."""
    with gunicorn(instance, "-w", "2", THREADS=4) as server:
        wait_until(lambda: len(server.children()) == 2, 5)
        for _ in range(3):
            started = time.monotonic()
            clients = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(8)]
            for client in clients:
                client.sendall(b"GET /wait/2500 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for client in clients:
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
                client.close()
            assert time.monotonic() - started < 4.9, "one of them waited for another"


@pytest.mark.alone
def test_clients_that_keep_their_end_open_after_a_last_answer_stop_nobody(instance: Path) -> None:
    """Gunicorn waits 2 s for each of them, and in the loop that everybody needs."""
    with gunicorn(instance, "-w", "1", application="wsgi:app") as server:
        lingering = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(20)]
        for connection in lingering:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        started = time.monotonic()
        assert [_status(server.port) for _ in range(5)] == [200] * 5
        assert time.monotonic() - started < 2
        for connection in lingering:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            connection.close()


@pytest.mark.parametrize(
    "command",
    [
        ["gunicorn", "-w", "4", "-b", "0.0.0.0:PORT", "wsgi:app"],
        ["gunicorn", "-k", "gevent", "-w", "2", "-b", "127.0.0.1:PORT", "wsgi:app"],
        ["gunicorn", "-b", "127.0.0.1:PORT", "app:create_app()"],
        ["gunicorn", "-b", "127.0.0.1:PORT"],
        ["waitress-serve", "--listen=127.0.0.1:PORT", "wsgi:app"],
        ["waitress-serve", "--port=PORT", "wsgi:application"],
        ["waitress-serve", "--listen=127.0.0.1:PORT", "--call", "app:create_app"],
        ["uwsgi", "--http", "127.0.0.1:PORT", "--wsgi-file", "wsgi.py", "--callable", "app"],
        ["flask", "--app", "wsgi", "run", "--port", "PORT"],
    ],
    ids=" ".join,
)
def test_the_commands_that_people_know_work_as_they_are(instance: Path, command: list[str]) -> None:
    program = Path(sys.executable).with_name(command[0])
    if command[0] == "uwsgi" and not program.exists():
        pytest.skip("uwsgi is not installed (requirements-uwsgi.txt)")
    port = free_port()
    with running([str(program), *(word.replace("PORT", str(port)) for word in command[1:])], instance, port, "/ready"):
        assert get(port, "/")[0] == 200
        assert get(port, "/about")[0] == 200
        assert get(port, "/static/img/logo.svg")[0] == 200


def test_gunicorn_as_a_daemon_serves_and_stops_by_its_pid_file(instance: Path, tmp_path: Path) -> None:
    port, pid_file = free_port(), tmp_path / "gunicorn.pid"
    command = [GUNICORN, "-D", "-b", f"127.0.0.1:{port}", "--pid", str(pid_file), "wsgi:app"]
    subprocess.run(command, cwd=ROOT, env=environment(instance, LOG_FILE=tmp_path / "log"), check=True, timeout=30)
    pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), 20))
    try:
        wait_until(lambda: _status(port) == 200, 20, lambda: (tmp_path / "log").read_text())
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), 10)


def _status(port: int) -> int:
    try:
        return get(port, "/")[0]
    except OSError:
        return 0


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (["-k", "eventlet"], {}, "Gunicorn dropped the eventlet worker"),
        (["--worker-class=eventlet"], {}, "Gunicorn dropped the eventlet worker"),
        ([], {"GUNICORN_CMD_ARGS": "-k eventlet"}, "Gunicorn dropped the eventlet worker"),
        ([], {"WORKER_CLASS": "eventlet"}, "Gunicorn dropped the eventlet worker"),
        ([], {"WORKER_CLASS": "gthreads"}, "'gthreads' is no worker class of this application"),
        (["-k", "asgi"], {}, "Use gthread, gevent or sync"),
        ([], {"WORKERS": "many", "THREADS": "0"}, "WORKERS: "),
        ([], {"WORKERS": "many", "THREADS": "0"}, "THREADS: "),
        (["--bind", "unix:/nowhere/app.sock"], {}, "Set TRUSTED_PROXIES=1"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_reason(
    instance: Path, options: list[str], settings: dict[str, str], message: str
) -> None:
    completed = subprocess.run(
        [GUNICORN, "--bind", f"127.0.0.1:{free_port()}", *options, "wsgi:app"],
        cwd=ROOT,
        env=environment(instance, **settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert completed.returncode != 0
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
