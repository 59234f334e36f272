"""`python wsgi.py` on Linux: what a visitor and a system manager see of the processes behind one socket."""

import os
import re
import resource
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.malformed import ACCEPTED, REFUSED, head
from tests.servers.running import (
    SERVE,
    STAND_IN,
    Running,
    free_port,
    get,
    is_alive,
    pid_that_answers,
    slow_request,
    wait_until,
)

PROJECT = Path(__file__).resolve().parents[2]
Start = Callable[..., tuple[Running, int]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the same checks for Windows are in test_windows.py")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    folder = tmp_path_factory.mktemp("application")
    (folder / "standin.py").write_text(STAND_IN)
    started: list[Running] = []

    def start(
        application: str = "standin:app", *, processes: int = 2, port: int | None = None, folder: Path = folder
    ) -> tuple[Running, int]:
        port = port or free_port()
        environment = os.environ | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", SERVE, application, str(port), str(processes)]
        started.append(Running(command, env=environment, cwd=folder, start_new_session=True))
        return started[-1], port

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def server(start_server: Start) -> tuple[Running, int]:
    running, port = start_server()
    running.line_with("serving on")
    wait_until(lambda: len({pid_that_answers(port) for _ in range(20)}) == 2, 20)
    return running, port


@pytest.fixture(scope="module")
def port(server: tuple[Running, int]) -> int:
    return server[1]


@pytest.fixture
def last(start_server: Start) -> tuple[Running, int]:
    """A server of one process that the test may end."""
    running, port = start_server(processes=1)
    running.line_with("serving on")
    return running, port


def exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("case", REFUSED)
def test_an_ambiguous_request_gets_one_refusal_and_the_connection_ends(case: str, port: int) -> None:
    status, request = REFUSED[case]
    answer = exchange(port, request)  # ends only when the server closes
    assert re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer) == [str(status).encode()]


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_clear_request_is_answered(case: str, port: int) -> None:
    assert exchange(port, ACCEPTED[case]).split(b" ", 2)[1] == b"200"


def test_the_answer_does_not_name_the_server(port: int) -> None:
    assert "server" not in get(port)[1]


def test_both_processes_share_the_work(server: tuple[Running, int]) -> None:
    _, port = server
    answers: Counter[int] = Counter()

    def visit() -> None:
        for _ in range(50):
            answers[pid_that_answers(port)] += 1

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(answers) == 2
    assert min(answers.values()) > 40  # of 400


def test_a_killed_process_is_replaced_and_the_other_one_answers_meanwhile(server: tuple[Running, int]) -> None:
    running, port = server
    first, second = running.children()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first), 20)
    assert {pid_that_answers(port) for _ in range(50)} == {second}
    running.line_with(f"process {first} ended with code -9")
    wait_until(lambda: {pid_that_answers(port) for _ in range(20)} == set(running.children()) - {first}, 20)
    assert len(running.children()) == 2


def test_a_stop_lets_a_running_request_finish(last: tuple[Running, int]) -> None:
    running, port = last
    visitor, answers = slow_request(port)
    running.process.send_signal(signal.SIGTERM)
    assert running.end(10) == 0
    visitor.join()
    assert answers[0][0] == 200
    assert answers[0][1]["connection"] == "close"


def test_a_stop_lets_an_upload_finish(last: tuple[Running, int]) -> None:
    running, port = last
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head("Content-Length: 4", line="POST / HTTP/1.1") + b"ha")
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        connection.sendall(b"lf")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert running.end(10) == 0


def test_an_idle_connection_does_not_delay_a_stop(last: tuple[Running, int]) -> None:
    running, port = last
    with socket.create_connection(("127.0.0.1", port)):
        running.process.send_signal(signal.SIGTERM)
        assert running.end(4) == 0


def test_a_ctrl_c_interrupts_no_process_that_boots(start_server: Start) -> None:
    running, _ = start_server(processes=3)
    running.line_with("serving on")  # the first serves, two are booting
    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal does
    assert running.end(20) == 0
    assert "Traceback" not in running.output


@pytest.mark.alone
def test_a_second_stop_ends_it_at_once(last: tuple[Running, int]) -> None:
    running, port = last
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(line="GET /slow HTTP/1.1"))
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        assert running.end(1) == 1


def test_a_killed_parent_leaves_no_process_behind(last: tuple[Running, int]) -> None:
    running, _ = last
    children = running.children()
    running.process.kill()
    wait_until(lambda: not any(map(is_alive, children)), 20)


def test_an_application_that_can_not_be_imported_says_why_once(start_server: Start) -> None:
    running, _ = start_server("nowhere:app")
    assert running.end(20) == 1
    assert running.output.count("No module named 'nowhere'") == 1


def test_a_release_that_can_not_boot_leaves_the_old_processes_serving(start_server: Start, tmp_path: Path) -> None:
    (tmp_path / "release.py").write_text(STAND_IN)
    running, port = start_server("release:app", folder=tmp_path)
    running.line_with("serving on")
    wait_until(lambda: len({pid_that_answers(port) for _ in range(20)}) == 2, 20)
    (tmp_path / "release.py").write_text("raise SystemExit('broken on purpose')")
    first, second = running.children()
    os.kill(first, signal.SIGKILL)
    running.line_with("ended with code 3")
    assert {pid_that_answers(port) for _ in range(20)} == {second}
    (tmp_path / "release.py").write_text(STAND_IN)
    wait_until(lambda: len({pid_that_answers(port) for _ in range(20)}) == 2, 30)


def test_a_port_in_use_is_one_clear_line(server: tuple[Running, int], start_server: Start) -> None:
    late, _ = start_server(port=server[1])
    assert late.end(20) == 1
    assert len(late.lines) == 1
    assert "the port is in use" in late.lines[0]


def test_1200_silent_connections_do_not_end_a_process(last: tuple[Running, int]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    running, port = last
    children = running.children()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(1200)]
    time.sleep(1)
    for connection in silent:
        connection.close()
    assert get(port)[0] == 200
    assert running.children() == children
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
