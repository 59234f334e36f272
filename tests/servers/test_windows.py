"""`python wsgi.py` and scripts/start.bat under the real CPython for Windows (see wine.py)."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
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
from tests.servers.wine import PROJECT, Windows, reason_to_skip, windows_path

Start = Callable[..., tuple[Running, int]]

pytestmark = [
    pytest.mark.windows,
    pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip()),
    pytest.mark.timeout(300),  # the first test may have to build the cache
]


@pytest.fixture(scope="module")
def windows() -> Iterator[Windows]:
    windows = Windows()
    windows.build()
    yield windows
    windows.end_all()


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
    terminal, console = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "wine", windows.python, "serve.py", "standin:app", str(port), "2"],
        stdin=console,
        stdout=console,
        stderr=console,
        cwd=application,
        env=windows.environment(PYTHONPATH=path, TERM="xterm"),
    )
    os.close(console)
    output: list[bytes] = []
    reader = threading.Thread(target=read_to_the_end, args=(terminal, output))
    reader.start()
    try:
        wait_until(lambda: b"serving on" in b"".join(output), 30)
        visitor, answers = slow_request(port)
        os.write(terminal, b"\x03")
        assert process.wait(10) == 0
        visitor.join()
        assert answers[0][0] == 200
        assert b"Traceback" not in b"".join(output)
    finally:
        process.kill()
        process.wait()
        windows.end_all()
        reader.join(5)
        os.close(terminal)


def read_to_the_end(terminal: int, output: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # what a terminal answers once nobody writes to it
        while text := os.read(terminal, 65536):
            output.append(text)


def test_the_launcher_of_a_virtual_environment_may_stand_in_between(start_server: Start) -> None:
    running, port = start_server(LAUNCHER="launcher.bat")
    wait_for_both(running, port)


@pytest.fixture(scope="module")
def clone(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder whose name has a space and a letter that is not ASCII, with its .venv made."""
    clone = tmp_path_factory.mktemp("users") / "Grün werk"
    clone.mkdir()
    for name in ("app", "migrations", "scripts", "serving"):
        shutil.copytree(PROJECT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config.py", "wsgi.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(PROJECT / name, clone)
    # The embeddable Python has no venv module, so what `python -m venv` and pip would make is laid out here.
    scripts = clone / ".venv" / "Scripts"
    shutil.copytree(windows.home, scripts, ignore=shutil.ignore_patterns("Lib", "__pycache__"))
    (clone / ".venv" / "Lib").symlink_to(windows.home / "Lib")
    (clone / ".venv" / "pyvenv.cfg").write_text(f"home = {windows_path(scripts)}\n", encoding="utf-8")
    shutil.copy(PROJECT / "requirements.txt", clone / ".venv" / "installed-requirements.txt")
    return clone


def start_bat(windows: Windows, clone: Path, *options: str, **variables: str) -> Running:
    """From another folder, as a shortcut on the desktop would."""
    return windows.start(
        "cmd", "/c", windows_path(clone / "scripts" / "start.bat"), *options, cwd=clone.parent, **variables
    )


def test_start_bat_explains_itself(windows: Windows, clone: Path) -> None:
    running = start_bat(windows, clone, "--help")
    assert running.end(20) == 0
    assert "--port PORT" in running.output


@pytest.mark.parametrize("options", [("--colour",), ("--port",)])
def test_start_bat_refuses_a_wrong_option(windows: Windows, clone: Path, options: tuple[str, ...]) -> None:
    running = start_bat(windows, clone, *options)
    assert running.end(20) == 2
    assert len(running.lines) == 1
    assert "see --help" in running.output


def test_start_bat_without_a_python_says_what_to_do(windows: Windows, clone: Path) -> None:
    (clone / ".venv").rename(clone / "hidden")
    running = start_bat(windows, clone)
    code = running.end(20)
    (clone / "hidden").rename(clone / ".venv")
    assert code == 1
    assert "no Python 3.11 or later was found" in running.lines[-1]


def test_start_bat_serves_the_real_application(windows: Windows, clone: Path) -> None:
    port = free_port()
    running = start_bat(windows, clone, "--port", str(port), "-w", "2", "-b", "127.0.0.1")
    try:
        assert f"http://127.0.0.1:{port} with Waitress, 2 processes" in running.line_with("serving on", 60)
        assert get(port, "/health")[0] == 200
        status, _, page = get(port, "/")
        assert status == 200
        assert "<!doctype html>" in page
        assert get(port, "/ready")[0] == 200
        assert (clone / "instance").is_dir()
    finally:
        windows.end_all()
        running.kill()
