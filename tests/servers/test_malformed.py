"""What is malformed gets a refusal from the whole application behind either server, never an answer, never a 5xx."""

import re
import socket
from collections.abc import Iterator

import pytest

from benchmarks.servers import flask, gunicorn, waitress
from tests.servers.malformed import REFUSED, head

SERVERS = ["gunicorn", "waitress"]


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    folder = tmp_path_factory.mktemp("malformed")
    flask(folder, "db", "upgrade")
    with gunicorn(folder, "-w", "2", application="wsgi:app") as one, waitress(folder, 2) as other:
        yield {"gunicorn": one.port, "waitress": other.port}


def answers(port: int, request: bytes) -> list[int]:
    """The statuses of all answers that come back before the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        received = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:
            pass
    statuses = [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received, re.MULTILINE)]
    assert statuses or not received, received  # HTTP/0.9 has pages without a status
    return statuses


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_a_malformed_request_is_refused_once(ports: dict[str, int], server: str, request_: tuple[int, bytes]) -> None:
    got = answers(ports[server], request_[1])
    assert len(got) <= 1, got
    assert all(400 <= status < 500 or status == 501 for status in got), got


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "second",
    [b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST /auth/login HTTP/1.1\r\nHost: x\r\n\r\n"],
)
def test_a_second_request_inside_a_body_is_not_answered(ports: dict[str, int], server: str, second: bytes) -> None:
    length = f"Content-Length: {len(second)}"
    request = head(length, "Connection: close", line="POST /nothing/here HTTP/1.1") + second
    assert answers(ports[server], request) == [404]


@pytest.mark.parametrize("server", SERVERS)
def test_a_header_with_an_underscore_does_not_pass_for_a_forwarded_one(ports: dict[str, int], server: str) -> None:
    request = head(
        "X_Forwarded_For: 1.2.3.4", "Transfer_Encoding: chunked", "Connection: close", line="GET /metrics HTTP/1.1"
    )
    assert answers(ports[server], request) == [200], "it still counts as a request from this machine"


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("host", ["a@b", "a/b", "localhost:99999", "a b", "<script>"])
def test_a_host_that_is_none_is_refused_and_not_repeated(ports: dict[str, int], server: str, host: str) -> None:
    assert answers(ports[server], head("Connection: close", host=f"Host: {host}")) == [400]
