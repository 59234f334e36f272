"""serving/waitress_server.py with a small application, under the real CPython for Windows."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.running import (
    SERVE,
    STAND_IN,
    Running,
    free_port,
    get,
    pid_that_answers,
    slow_request,
    wait_until,
)
from tests.servers.windows.console import Console
from tests.servers.wine import PROJECT, Windows, windows_path

Start = Callable[..., tuple[Running, int]]


@pytest.fixture(scope="module")
def application(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small application, and serve.py, which serves it on a port with two processes."""
    folder = tmp_path_factory.mktemp("application")
    (folder / "standin.py").write_text(STAND_IN)
    # What `python -m venv` makes on Windows: a python.exe that starts the real one as its child, with another pid.
    (folder / "launcher.bat").write_text(f'@"{windows_path(windows.python)}" %*\r\n')
    launcher = "import os, sys\nsys.executable = os.path.abspath(os.environ.get('LAUNCHER', sys.executable))\n"
    (folder / "serve.py").write_text(launcher + SERVE)
    return folder


@pytest.fixture(scope="module")
def start_server(windows: Windows, application: Path) -> Iterator[Start]:
    started: list[Running] = []

    def start(port: int | None = None, **variables: str) -> tuple[Running, int]:
        port = port or free_port()
        path = f"{windows_path(PROJECT)};{windows_path(application)}"
        command = (windows.python, "serve.py", "standin:app", str(port), "2")
        started.append(windows.start(*command, cwd=application, PYTHONPATH=path, **variables))
        return started[-1], port

    yield start
    windows.end_all()
    for server in started:
        server.kill()


def pids(port: int) -> set[int]:
    return {pid_that_answers(port) for _ in range(50)}


def wait_for_both(running: Running, port: int) -> None:
    running.line_with("serving on")
    wait_until(lambda: len(pids(port)) == 2, 30, lambda: running.output)


@pytest.fixture(scope="module")
def server(start_server: Start) -> tuple[Running, int]:
    running, port = start_server()
    wait_for_both(running, port)
    return running, port


def test_it_is_windows(server: tuple[Running, int]) -> None:
    assert get(server[1])[2].startswith("nt ")


def test_both_processes_answer_on_one_port(server: tuple[Running, int]) -> None:
    answers = [pid_that_answers(server[1]) for _ in range(100)]
    assert min(answers.count(pid) for pid in set(answers)) > 10


def test_a_killed_process_is_replaced_and_the_other_one_answers_meanwhile(
    server: tuple[Running, int], windows: Windows
) -> None:
    running, port = server
    first, second = pids(port)
    windows.kill(first)
    assert second in pids(port)
    assert first not in pids(port)
    assert f"process {first} ended with code 9, process " in running.line_with("replaces it")
    wait_until(lambda: len(pids(port)) == 2, 30)


def test_a_port_in_use_is_one_clear_line(server: tuple[Running, int], start_server: Start) -> None:
    late, _ = start_server(server[1])
    assert late.end(30) == 1
    assert len(late.lines) == 1
    assert "the port is in use" in late.lines[0]


def test_1100_silent_connections_do_not_end_a_process(server: tuple[Running, int]) -> None:
    running, port = server
    deaths = running.output.count("ended with code")
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(1100)]  # select() ends at 512
    time.sleep(1)
    for connection in silent:
        connection.close()
    assert get(port)[0] == 200
    assert running.output.count("ended with code") == deaths


def test_a_terminated_parent_lets_a_running_request_finish(server: tuple[Running, int], windows: Windows) -> None:
    running, port = server
    parent = re.search(r"pid (\d+)", running.line_with("serving on"))
    assert parent
    visitor, answers = slow_request(port)
    windows.kill(int(parent[1]))
    running.end(10)
    visitor.join()
    assert answers[0][0] == 200
    wait_until(lambda: not any(windows.processes()), 10)


def test_ctrl_c_in_a_console_lets_a_running_request_finish(windows: Windows, application: Path) -> None:
    port = free_port()
    path = f"{windows_path(PROJECT)};{windows_path(application)}"
    with Console(windows, "serve.py", "standin:app", str(port), "2", cwd=application, PYTHONPATH=path) as console:
        console.wait_for("serving on")
        visitor, answers = slow_request(port)
        console.press_ctrl_c()
        assert console.process.wait(10) == 0
        visitor.join()
        assert answers[0][0] == 200
        assert "Traceback" not in console.text


def test_the_launcher_of_a_virtual_environment_may_stand_in_between(start_server: Start) -> None:
    running, port = start_server(LAUNCHER="launcher.bat")
    wait_for_both(running, port)
