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
from running import SERVE, STAND_IN, Running, free_port, get, is_alive, pid_that_answers, wait_until

PROJECT = Path(__file__).resolve().parents[2]
Start = Callable[..., tuple[Running, int]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the same checks for Windows are in test_windows.py")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    folder = tmp_path_factory.mktemp("application")
    (folder / "standin.py").write_text(STAND_IN)
    started: list[Running] = []

    def start(application: str = "standin:app", *, processes: int = 2, port: int | None = None) -> tuple[Running, int]:
        port = port or free_port()
        environment = os.environ | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{folder}"}
        command = [sys.executable, "-c", SERVE, application, str(port), str(processes)]
        started.append(Running(command, env=environment, cwd=folder))
        return started[-1], port

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(start_server: Start) -> tuple[Running, int]:
    running, port = start_server()
    running.line_with("serving on")
    wait_until(lambda: len({pid_that_answers(port) for _ in range(8)}) == 2, 20)
    return running, port


@pytest.fixture(scope="module")
def port(start_server: Start) -> int:
    running, port = start_server(processes=1)
    running.line_with("serving on")
    return port


def exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(*lines: str, line: str = "GET / HTTP/1.1", host: str | None = "Host: localhost") -> bytes:
    return "\r\n".join([line, *([host] if host else []), *lines, "", ""]).encode("latin-1")


CHUNKED = b"2\r\nhi\r\n0\r\n\r\n"
REFUSED = {
    "content-length and transfer-encoding": (400, head("Content-Length: 3", "Transfer-Encoding: chunked") + CHUNKED),
    "two hosts": (400, head("Host: evil.test")),
    "two content-lengths": (400, head("Content-Length: 2", "Content-Length: 2") + b"hi"),
    "two content-types": (400, head("Content-Type: text/plain", "Content-Type: application/json")),
    "two transfer-encodings": (400, head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + CHUNKED),
    "stacked transfer-encoding": (400, head("Transfer-Encoding: gzip, chunked") + CHUNKED),
    "empty transfer-encoding": (400, head("Transfer-Encoding: ") + CHUNKED),
    "unknown transfer-encoding": (501, head("Transfer-Encoding: xchunked") + CHUNKED),
    "content-length with a sign": (400, head("Content-Length: +2") + b"hi"),
    "content-length of 5000 digits": (400, head("Content-Length: " + "9" * 5000)),
    "folded header": (400, head("X-Long: one", " two")),
    "space before the colon": (400, head("X-Name : one")),
    "chunked in HTTP/1.0": (400, head("Transfer-Encoding: chunked", line="POST / HTTP/1.0") + CHUNKED),
    "HTTP/1.1 without host": (400, head(host=None)),
    "HTTP/9.9": (400, head(line="GET / HTTP/9.9")),
    "HTTP/2.0": (400, head(line="PRI * HTTP/2.0")),
    "no version": (400, head(line="GET /")),
    "words after the version": (400, head(line="GET / HTTP/1.1 x")),
    "asterisk": (400, head(line="GET * HTTP/1.1")),
    "authority": (400, head(line="CONNECT evil.test:443 HTTP/1.1")),
    "absolute address": (400, head(line="GET http://evil.test/ HTTP/1.1")),
    "relative path": (400, head(line="GET foo HTTP/1.1")),
    "control character in the path": (400, head(line="GET /\x00 HTTP/1.1")),
    "lower-case method": (400, head(line="get / HTTP/1.1")),
    "request line of 4095 bytes": (414, head(line="GET /" + "a" * 4081 + " HTTP/1.1")),
    "request line without an end": (414, b"GET /" + b"a" * 70_000),
    "101 headers": (431, head(*[f"X-{number}: y" for number in range(100)])),
    "header of 8191 bytes": (431, head("X: " + "y" * 8186)),
}
ACCEPTED = {
    "plain": head(),
    "HTTP/1.0 without host": head(line="GET / HTTP/1.0", host=None),
    "chunked": head("Transfer-Encoding: chunked", line="POST / HTTP/1.1") + CHUNKED,
    "content-length": head("Content-Length: 2", line="POST / HTTP/1.1") + b"hi",
    "options for the server": head(line="OPTIONS * HTTP/1.1"),
    "request line of 4094 bytes": head(line="GET /" + "a" * 4080 + " HTTP/1.1"),
    "100 headers": head(*[f"X-{number}: y" for number in range(99)]),
    "header of 8190 bytes": head("X: " + "y" * 8185),
}


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
    wait_until(lambda: not is_alive(first), 5)
    assert {pid_that_answers(port) for _ in range(50)} == {second}
    running.line_with(f"process {first} ended with code -9")
    wait_until(lambda: {pid_that_answers(port) for _ in range(20)} == set(running.children()) - {first}, 20)
    assert len(running.children()) == 2


def slow_request(port: int) -> tuple[threading.Thread, list[tuple[int, dict[str, str], str]]]:
    answers: list[tuple[int, dict[str, str], str]] = []
    visitor = threading.Thread(target=lambda: answers.append(get(port, "/slow")))
    visitor.start()
    time.sleep(0.5)  # of the 2 s that the answer takes
    return visitor, answers


def test_a_stop_lets_a_running_request_finish(server: tuple[Running, int]) -> None:
    running, port = server
    visitor, answers = slow_request(port)
    running.process.send_signal(signal.SIGTERM)
    assert running.end(10) == 0
    visitor.join()
    assert answers[0][0] == 200
    assert answers[0][1]["connection"] == "close"


def test_a_stop_lets_an_upload_finish(server: tuple[Running, int]) -> None:
    running, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head("Content-Length: 4", line="POST / HTTP/1.1") + b"ha")
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        connection.sendall(b"lf")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert running.end(10) == 0


def test_an_idle_connection_does_not_delay_a_stop(server: tuple[Running, int]) -> None:
    running, port = server
    with socket.create_connection(("127.0.0.1", port)):
        running.process.send_signal(signal.SIGTERM)
        assert running.end(4) == 0


def test_a_second_stop_ends_it_at_once(server: tuple[Running, int]) -> None:
    running, port = server
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(line="GET /slow HTTP/1.1"))
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        assert running.end(1) == 1


def test_a_killed_parent_leaves_no_process_behind(server: tuple[Running, int]) -> None:
    running, _ = server
    children = running.children()
    running.process.kill()
    wait_until(lambda: not any(map(is_alive, children)), 5)


def test_an_application_that_can_not_be_imported_says_why_once(start_server: Start) -> None:
    running, _ = start_server("nowhere:app")
    assert running.end(20) == 1
    assert running.output.count("No module named 'nowhere'") == 1


def test_a_port_in_use_is_one_clear_line(server: tuple[Running, int], start_server: Start) -> None:
    late, _ = start_server(port=server[1])
    assert late.end(20) == 1
    assert len(late.lines) == 1
    assert "the port is in use" in late.lines[0]


def test_1200_silent_connections_do_not_end_a_process(start_server: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    running, port = start_server(processes=1)
    running.line_with("serving on")
    children = running.children()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(1200)]
    time.sleep(1)
    for connection in silent:
        connection.close()
    assert get(port)[0] == 200
    assert running.children() == children
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
