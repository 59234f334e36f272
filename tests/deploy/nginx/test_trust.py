"""What a client says about itself, where it comes from and whom it asks for is never believed."""

import contextlib
import json
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.deploy.edge import DOMAIN, Edge
from tests.deploy.nginx.conftest import Front
from tests.deploy.nginx.servers import SocketConnection, logged

FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "6666",
    "Forwarded": "for=6.6.6.6;proto=http;host=evil.test",
    "X-Real-IP": "6.6.6.6",
    "X-Request-ID": "chosen-by-a-client",
    "X-Request-Start": "t=1",
    "Proxy": "http://evil.test",
    "X_Forwarded_For": "6.6.6.6",
    "Connection": "close, X-Forwarded-For, X-Forwarded-Proto",
}


def received(front: Front, headers: dict[str, str]) -> dict[str, str]:
    """What the application gets, but for the request's id and its time, which are others each time."""
    answer = front.site.get(f"{front.prefix}/received", headers={"User-Agent": "test"} | headers)
    found: dict[str, str] = json.loads(answer.body)
    assert found.pop("HTTP_X_REQUEST_ID") == answer["X-Request-ID"]
    assert answer["X-Request-ID"] != headers.get("X-Request-ID")
    assert abs(float(found.pop("HTTP_X_REQUEST_START").removeprefix("t=")) - time.time()) < 60
    return found


def made_of(front: Front, headers: dict[str, str]) -> tuple[object, ...]:
    """What the application makes of a request: the client in its log, its cookie, where it leads to."""
    answer = front.site.get(f"{front.prefix}/auth/account", headers=headers)
    form = front.site.get(f"{front.prefix}/auth/login", headers=headers)
    cookie = [part for part in form["Set-Cookie"].split("; ") if not part.startswith("__")]
    name = form["Set-Cookie"].partition("=")[0]
    return (
        answer.status, answer["Location"], form.status, name, cookie,
        logged(front.server, form["X-Request-ID"])["client"],
    )  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_header_is_never_believed(name: str, each_front: Front) -> None:
    forged = {name: FORGED[name]}
    assert received(each_front, forged) == received(each_front, {})
    assert made_of(each_front, forged) == made_of(each_front, {})


def test_what_nginx_says_is_believed(each_front: Front) -> None:
    prefix = each_front.prefix
    name, path = ("__Secure-application-1", "Path=/app1") if prefix else ("__Host-groundwork", "Path=/")
    status, location, _, cookie, parts, client = made_of(each_front, {})
    assert (status, location) == (303, f"{prefix}/auth/login?next={prefix}/auth/account")
    assert (cookie, client) == (name, "127.0.0.1")
    assert {"Secure", path} <= set(parts)  # type: ignore[call-overload]


def test_the_application_alone_would_believe_them(front: Front, run: Path) -> None:
    connection = SocketConnection(run / "web.sock")
    connection.request(
        "GET", "/auth/login", headers={"X-Forwarded-For": "6.6.6.6", "X-Request-ID": "chosen-by-a-client"}
    )
    response = connection.getresponse()
    assert response.getheader("X-Request-ID") == "chosen-by-a-client"
    assert logged(front.server, "chosen-by-a-client")["client"] == "6.6.6.6"
    connection.close()


def test_a_host_in_the_address_counts_and_not_the_one_beside_it(site: Edge) -> None:
    answer = site.request("GET", f"https://{DOMAIN}/received", headers={"Host": "evil.test"})
    assert json.loads(answer.body)["HTTP_HOST"] == f"{DOMAIN}:{site.https}"


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0", "websocket, h2c"])
def test_no_protocol_but_websocket_reaches_the_application(upgrade: str, site: Edge) -> None:
    headers = {
        "Upgrade": upgrade,
        "Connection": "Upgrade, HTTP2-Settings",
        "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
    }
    seen = json.loads(site.get("/received", headers=headers).body)
    assert not {"HTTP_UPGRADE", "HTTP_CONNECTION"} & seen.keys()


def test_the_same_id_is_in_the_answer_and_in_both_logs(each_front: Front) -> None:
    answer = each_front.site.get(f"{each_front.prefix}/about?secret=1")
    request_id = answer["X-Request-ID"]
    (line,) = [line for line in each_front.site.access_lines(answer) if line["request_id"] == request_id]
    assert (line["request"], line["status"]) == (f"GET {each_front.prefix}/about", "200")
    assert logged(each_front.server, request_id)["path"] == f"{each_front.prefix}/about"


@pytest.mark.parametrize("path", ["/health", "/up", "/ready"])
def test_a_probe_is_not_logged(path: str, each_front: Front) -> None:
    answer = each_front.site.get(each_front.prefix + path)
    assert answer.status == 200
    later = each_front.site.get(f"{each_front.prefix}/about")
    assert answer["X-Request-ID"] not in {line["request_id"] for line in each_front.site.access_lines(later)}


METRICS = ["/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?x=1", "/./metrics"]


@pytest.mark.parametrize("path", METRICS)
def test_metrics_are_refused_from_outside(path: str, each_front: Front) -> None:
    answer = each_front.site.get(each_front.prefix + path, source="127.0.0.2")
    assert answer.status == 403
    assert b"http_request" not in answer.body


@pytest.mark.parametrize("path", ["/metrics/", "/app1/metrics", "/app2/metrics", "/static/../metrics", "/x/metrics"])
def test_metrics_have_no_other_address(path: str, each_front: Front) -> None:
    assert each_front.site.get(path, source="127.0.0.2").status in {403, 404}


def test_this_machine_may_ask_for_metrics_and_the_application_then_wants_its_token(site: Edge) -> None:
    answer = site.get("/metrics")
    assert (answer.status, answer["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1", f"{DOMAIN}.evil.test", f"evil.{DOMAIN}"])
def test_an_unknown_host_gets_no_answer_by_http(host: str, site: Edge) -> None:
    connection = socket.create_connection(("127.0.0.1", site.http), 10)
    with connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connection.recv(1000) == b""


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1"])
def test_another_host_in_an_encrypted_request_gets_no_answer(host: str, site: Edge) -> None:
    with pytest.raises(ConnectionError):
        site.get("/", headers={"Host": host})


@pytest.mark.parametrize("name", ["evil.test", None])
def test_an_unknown_host_is_not_even_shown_a_certificate(name: str | None, site: Edge) -> None:
    anybody = ssl._create_unverified_context()  # noqa: S323 - to see what would be shown
    with (
        socket.create_connection(("127.0.0.1", site.https), 10) as connection,
        pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"),
    ):
        anybody.wrap_socket(connection, server_hostname=name)
