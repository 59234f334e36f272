"""Apache and the application refuse the same, and whatever is malformed is refused once."""

import contextlib
import json
import re
import socket

import pytest

from config import ROOT, Config
from tests.deploy.apache.conftest import Way
from tests.deploy.apache.server import Apache
from tests.deploy.nginx.test_limits import EDGES, gunicorn_says
from tests.servers.malformed import REFUSED

# What Apache reads in one way only, and passes on in that way.
UNAMBIGUOUS = {"content-length and transfer-encoding", "two content-types", "folded header", "HTTP/9.9"}
MALFORMED = {name: request for name, (_, request) in REFUSED.items() if name not in UNAMBIGUOUS}


def raw(site: Apache, request: bytes) -> bytes:
    """All that comes back before the server closes or falls silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", site.https), 5) as plain:
        connection = site.context.wrap_socket(plain, server_hostname=site.domain)
        connection.settimeout(2)
        with contextlib.suppress(OSError):
            connection.sendall(request.replace(b"Host: localhost", f"Host: {site.domain}".encode()))
            while more := connection.recv(65536):
                received += more
        connection.close()
    return received


def test_the_files_name_the_limits_of_the_application() -> None:
    text = (ROOT / "deploy/apache/groundwork.conf").read_text()
    said = {name: int(number) for name, number in re.findall(r"(?m)^ *(LimitRequest\w+) (\d+)$", text)}
    assert said == {
        "LimitRequestLine": gunicorn_says("limit_request_line") - 1,
        "LimitRequestFields": gunicorn_says("limit_request_fields"),
        "LimitRequestFieldSize": gunicorn_says("limit_request_field_size") - 3,
        "LimitRequestBody": Config.model_fields["MAX_CONTENT_LENGTH"].default,
    }


@pytest.mark.parametrize("case", EDGES)
def test_apache_and_the_application_draw_the_same_line(case: str, way: Way) -> None:
    *request, status = EDGES[case]
    assert way.site.request(*request).status == (400 if status == 431 else status)


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_refused_once(case: str, way: Way) -> None:
    received = raw(way.site, MALFORMED[case])
    got = [int(status) for status in re.findall(rb"(?m)^HTTP/1\.[01] (\d{3}) ", received)]
    assert len(got) == (1 if received else 0), received  # HTTP/0.9 has pages without a status
    assert all(400 <= status < 500 or status == 501 for status in got), got


def test_a_body_in_pieces_arrives_whole(way: Way) -> None:
    pieces = iter([b'{"title": "In pi', b'eces"'])
    answer = way.site.request("POST", "/api/v1/posts", pieces, {"Content-Type": "application/json"})
    assert (answer.status, "Log in" in json.loads(answer.body)["detail"]) == (401, True)


def test_a_websocket_is_refused_with_a_reason_where_apache_runs_the_application(wsgi: Way) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    answer = wsgi.site.get("/ws", headers=headers | {"Accept": "application/json"})
    assert (answer.status, "WebSocket" in json.loads(answer.body)["detail"]) == (501, True)
