"""Each answer, whoever gives it, has the security headers, and each of them once."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from app.platform.security import HSTS, SECURITY_HEADERS, ContentPolicy
from tests.deploy.edge import Answer, Edge
from tests.deploy.nginx.conftest import Front
from tests.servers.observatory import score

UPLOAD = "0123456789abcdef" * 2 + ".png"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
BAR = 150


@pytest.fixture(scope="module")
def stored(front: Front) -> str:
    """The address of an upload."""
    (front.base / "shared/instance/uploads" / UPLOAD).write_bytes(PNG)
    return f"/uploads/{UPLOAD}"


@pytest.fixture(scope="module")
def style(site: Edge) -> str:
    """The address of a static file, as the pages name it."""
    found = re.search(r'href="(/static/css/app\.[0-9a-f]{12}\.css)"', site.get("/").text)
    assert found
    return found[1]


def too_many_forms(site: Edge) -> Answer:
    for _ in range(60):
        answer = site.request("POST", "/auth/login", b"", source="127.0.0.9")
        if answer.status == 429:
            break
    return answer


def malformed(site: Edge) -> Answer:
    connection = site.connection()
    connection.putrequest("GET", "/")
    connection.putheader("Host", "evil.test")  # http.client has named one already
    connection.endheaders()
    response = connection.getresponse()
    answer = Answer(response.status, response.getheaders(), response.read())
    connection.close()
    return answer


ANSWERS: dict[str, tuple[int, Callable[[Edge], Answer]]] = {
    "a page": (200, lambda site: site.get("/")),
    "a page that is not there": (404, lambda site: site.get("/nothing-here")),
    "the API": (200, lambda site: site.get("/api/v1/openapi.json")),
    "a form without its token": (400, lambda site: site.request("POST", "/auth/logout", b"", source="127.0.0.8")),
    "a plain static name": (200, lambda site: site.get("/static/css/app.css")),
    "a static file that is not there": (404, lambda site: site.get("/static/nothing.css")),
    "an upload that is not there": (404, lambda site: site.get("/uploads/" + "0" * 32 + ".png")),
    "a static folder": (404, lambda site: site.get("/static/css/")),
    "health": (200, lambda site: site.get("/health")),
    "more headers than Gunicorn reads": (431, lambda site: site.get("/", headers={f"X-{n}": "y" for n in range(101)})),
    "trace": (405, lambda site: site.request("TRACE", "/")),
    "two hosts": (400, malformed),
    "metrics": (403, lambda site: site.get("/metrics", source="127.0.0.2")),
    "a body that is too large": (413, lambda site: site.request("POST", "/auth/login", b"x" * (8 * 1024 * 1024 + 1))),
    "an address that is too long": (414, lambda site: site.get("/" + "a" * 5000)),
    "a header that is too large": (431, lambda site: site.get("/", headers={"X": "y" * 9000})),
    "too many forms": (429, too_many_forms),
}


def assert_headers_once(answer: Answer, hsts: bool = True) -> None:
    for name, value in SECURITY_HEADERS:
        assert answer.all(name) == [value], name
    assert answer.all(HSTS[0]) == ([HSTS[1]] if hsts else [])
    for name in ("Content-Security-Policy", "Cross-Origin-Embedder-Policy", "X-Request-ID", "Server"):
        assert len(answer.all(name)) == 1, name
    for name in ("Cache-Control", "Retry-After", "Content-Type"):
        assert len(answer.all(name)) <= 1, name


@pytest.mark.parametrize(("status", "ask"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_has_every_security_header_once(status: int, ask: Callable[[Edge], Answer], site: Edge) -> None:
    answer = ask(site)
    assert answer.status == status
    assert_headers_once(answer)


def test_a_static_file_has_every_security_header_once(site: Edge, style: str) -> None:
    answer = site.get(style)
    assert_headers_once(answer)
    assert_headers_once(site.get(style, headers={"If-None-Match": answer["ETag"]}))
    assert_headers_once(site.request("POST", style, b""))


def test_an_upload_has_every_security_header_once(site: Edge, stored: str) -> None:
    assert_headers_once(site.get(stored))


def test_the_page_of_an_application_that_is_away_has_them_too(closed: Edge) -> None:
    answer = closed.get("/")
    assert (answer.status, answer["Retry-After"], answer["Cache-Control"]) == (502, "5", "no-store")
    assert_headers_once(answer)


def test_the_maintenance_page_has_them_too(closed: Edge, folder: Path) -> None:
    mark = folder / "shared/maintenance"
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    try:
        answer = closed.get("/anything")
    finally:
        mark.unlink()
    assert (answer.status, answer["Retry-After"]) == (503, "60")
    assert_headers_once(answer)


def test_a_redirect_to_https_has_them_but_not_hsts(site: Edge) -> None:
    answer = site.plain("/anything?q=a%20b")
    assert (answer.status, answer["Location"]) == (301, "https://www.example.com/anything?q=a%20b")
    assert_headers_once(answer, hsts=False)


def test_what_is_served_without_the_application_has_its_content_policy(site: Edge, style: str, stored: str) -> None:
    assert site.get(style)["Content-Security-Policy"] == ContentPolicy("").without_nonce
    assert site.get(stored)["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_nothing_says_which_nginx_this_is(site: Edge) -> None:
    assert {site.get(path)["Server"] for path in ("/", "/nothing-here", "/" + "a" * 5000)} == {"nginx"}


@pytest.mark.parametrize("prefix", ["", "/app1"])
@pytest.mark.parametrize("path", ["/", "/about", "/auth/login", "/nothing-here", "/" + "a" * 5000])
def test_a_page_is_rated_a_plus(path: str, prefix: str, request: pytest.FixtureRequest) -> None:
    site = request.getfixturevalue("prefixes")[0].site if prefix else request.getfixturevalue("site")
    answer = site.get(prefix + path)
    points, reasons = score(answer.headers, answer.text)
    assert points >= BAR, reasons


@pytest.mark.parametrize("path", ["/", "/api-of-another/x", "/.well-known/acme"])
def test_http_leads_to_https(path: str, site: Edge) -> None:
    assert site.plain(path)["Location"] == f"https://www.example.com{path}"


@pytest.mark.parametrize("path", ["/api/v1/anything", "/app1/api/v1/anything"])
def test_a_program_that_asks_by_http_is_not_led_on(path: str, site: Edge) -> None:
    answer = site.plain(path, headers={"Authorization": "Bearer secret"})
    assert (answer.status, answer["Content-Type"], answer["Location"]) == (403, "application/problem+json", "")


def test_http_that_is_spoken_to_the_port_for_https_is_led_there(site: Edge) -> None:
    with socket.create_connection(("127.0.0.1", site.https), 10) as connection:
        connection.sendall(b"GET /about HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 301 ")
    assert f"Location: https://www.example.com:{site.https}/about\r\n" in answer


def test_the_certificate_authority_finds_its_file(site: Edge) -> None:
    challenge = site.folder / "acme/.well-known/acme-challenge/token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("token.thumbprint")
    assert site.plain("/.well-known/acme-challenge/token").text == "token.thumbprint"
