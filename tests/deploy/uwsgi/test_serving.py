"""uWSGI with the shipped file, asked over HTTP: what it serves, what it refuses, and what it never believes."""

import json
import re
import socket
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.visitor import Visitor
from benchmarks.writes import COUNTER
from config import ROOT, Config
from tests.deploy.impression import FORGED, impression
from tests.deploy.uwsgi.server import Uwsgi
from tests.servers.running import get, wait_until


def raw(server: Uwsgi, request: bytes, wait: float = 20) -> bytes:
    """All that comes back before the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), wait) as connection:
        received = b""
        try:
            connection.sendall(request)
            while more := connection.recv(65536):
                received += more
        except ConnectionError:  # it closes on what it does not read to the end
            pass
    return received


def test_all_four_processes_answer_and_the_log_has_a_line_of_each_request(http: Uwsgi) -> None:
    threads = [threading.Thread(target=get, args=(http.port, "/wait/300")) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for line in http.access_lines() if line["path"] == "/wait/300"]
    assert len({line["request_id"] for line in lines}) == 64
    assert {line["pid"] for line in lines} == http.workers()
    assert len(http.workers()) == 4


def test_a_request_leaves_its_id_in_the_log(http: Uwsgi) -> None:
    _, headers, _ = get(http.port, "/about")
    wait_until(lambda: any(line["request_id"] == headers["x-request-id"] for line in http.access_lines()), 10)


def test_a_form_is_sent(http: Uwsgi) -> None:
    with Visitor(http.port, COUNTER) as visitor:
        assert visitor.send(COUNTER)[0] == 303


def test_pages_and_static_files_are_served(http: Uwsgi) -> None:
    status, _, page = get(http.port, "/")
    assert status == 200
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(addresses) > 2
    for address in addresses:
        status, headers, _ = get(http.port, address)
        assert (status, "immutable" in headers["cache-control"]) == (200, True), address


def test_the_requests_of_all_processes_are_counted(http: Uwsgi) -> None:
    for _ in range(40):
        get(http.port, "/compute/1")
    route = r'http_requests_total\{.*"/compute/<int:milliseconds>".*\} (\S+)'
    wait_until(lambda: re.findall(route, get(http.port, "/metrics")[2]) == ["40.0"], 10)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_header_is_never_believed(name: str, http: Uwsgi) -> None:
    seen, unforged = (
        impression(HTTPConnection("127.0.0.1", http.port, timeout=15), http.access_lines, headers)
        for headers in ({name: FORGED[name]}, {})
    )
    assert seen == unforged


def test_a_websocket_is_refused_with_a_reason(http: Uwsgi) -> None:
    lines = [
        "GET /ws HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Accept: application/json",
    ]
    answer = raw(http, "\r\n".join([*lines, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==", "", ""]).encode())
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert "WebSocket" in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]


HEAD = b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n\r\n"
FORM = b"POST /auth/login"
TOO_MUCH = {
    "a long request line": (HEAD % (b"GET /" + b"a" * 4095, b"X: y"), b"414"),
    "a header of 9 kB": (HEAD % (b"GET /about", b"X: " + b"y" * 9000), b"200"),  # there is one limit for all together
    "a body of 50 MB": (HEAD % (FORM, b"Content-Length: 50000000") + b"a=b&" * 1000, b"413"),
    "a body that stops": (HEAD % (FORM, b"Content-Length: 1000") + b"a=b", b"400"),
}


@pytest.mark.parametrize(("request_", "status"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_gets_an_answer(request_: bytes, status: bytes, http: Uwsgi) -> None:
    assert raw(http, request_, 40).startswith(b"HTTP/1.1 " + status)


def test_more_headers_than_the_buffer_holds_cost_only_that_connection(http: Uwsgi) -> None:
    headers = b"\r\n".join(b"X-%d: " % number + b"y" * 7000 for number in range(10))
    assert raw(http, HEAD % (b"GET /about", headers)) == b""
    assert get(http.port, "/about")[0] == 200


def test_a_second_request_inside_a_body_is_not_answered(http: Uwsgi) -> None:
    second = HEAD % (b"GET /smuggled", b"X: y")
    first = HEAD % (b"POST /nothing/here", b"Content-Length: %d" % len(second))
    assert re.findall(rb"(?m)^HTTP/1\.1 (\d+)", raw(http, first + second)) == [b"404"]


def test_the_statistics_are_json_and_not_for_everybody(http: Uwsgi) -> None:
    assert {worker["status"] for worker in http.stats()["workers"]} <= {"idle", "busy"}
    assert (http.run / "uwsgi-stats.sock").stat().st_mode & 0o007 == 0


def test_the_threads_are_as_many_as_the_database_has_connections_for() -> None:
    (threads,) = re.findall(r"(?m)^threads = (\d+)$", (ROOT / "deploy/uwsgi/groundwork.ini").read_text())
    assert int(threads) == Config.model_fields["THREADS"].default


def test_the_secret_and_the_uploads_are_in_the_shared_folder(http: Uwsgi) -> None:
    shared: Path = http.site.instance
    assert {"app.db", "secret_key", "static"} <= {file.name for file in shared.iterdir()}
