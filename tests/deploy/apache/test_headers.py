"""Each answer, the application's and Apache's own, has every security header once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.platform.security import HSTS, SECURITY_HEADERS, ContentPolicy
from tests.deploy.apache.conftest import Way
from tests.deploy.apache.server import Apache, apache
from tests.deploy.edge import Answer
from tests.deploy.nginx.test_headers import PNG, UPLOAD
from tests.deploy.nginx.test_headers import malformed as another_host
from tests.servers.observatory import score

BODY = b"x" * (8 * 1024**2 + 1)
ANSWERS: dict[str, tuple[int, Callable[[Apache], Answer]]] = {
    "a page": (200, lambda site: site.get("/")),
    "a page that is not there": (404, lambda site: site.get("/nothing-here")),
    "the API": (200, lambda site: site.get("/api/v1/posts")),
    "a form without its token": (400, lambda site: site.request("POST", "/auth/logout", b"")),
    "a plain static name": (200, lambda site: site.get("/static/css/app.css")),
    "a static file that is not there": (404, lambda site: site.get("/static/nothing.0123456789ab.css")),
    "an upload that is not there": (404, lambda site: site.get("/uploads/" + "0" * 32 + ".png")),
    "a path that leads out": (404, lambda site: site.get("/static/..%2f..%2fapp.db")),
    "health": (200, lambda site: site.get("/health")),
    "more headers than we read": (400, lambda site: site.get("/", headers={f"X-{n}": "y" for n in range(101)})),
    "a header that is too large": (400, lambda site: site.get("/", headers={"X": "y" * 9000})),
    "an address that is too long": (414, lambda site: site.get("/" + "a" * 5000)),
    "a body that is too large": (413, lambda site: site.request("POST", "/auth/login", BODY)),
    "trace": (405, lambda site: site.request("TRACE", "/")),
    "a method that does not exist": (501, lambda site: site.request("JUMP", "/")),
    "another host": (400, another_host),
    "metrics": (403, lambda site: site.get("/metrics", source="127.0.0.2")),
}


def assert_headers_once(answer: Answer, hsts: bool = True) -> None:
    for name, value in SECURITY_HEADERS:
        assert answer.all(name) == [value], name
    assert answer.all(HSTS[0]) == ([HSTS[1]] if hsts else [])
    for name in ("Content-Security-Policy", "Cross-Origin-Embedder-Policy"):
        assert len(answer.all(name)) == 1, name
    for name in ("Cache-Control", "Retry-After", "Content-Type", "Vary", "X-Request-ID"):
        assert len(answer.all(name)) <= 1, name
    assert answer.all("Server") == ["Apache"]


@pytest.mark.parametrize(("status", "ask"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_has_every_security_header_once(status: int, ask: Callable[[Apache], Answer], way: Way) -> None:
    answer = ask(way.site)
    assert answer.status == status
    assert_headers_once(answer)


def test_http_leads_to_https_and_says_nothing_of_hsts(way: Way) -> None:
    answer = way.site.plain("/posts/?q=a%20b")
    assert (answer.status, answer["Location"]) == (301, "https://www.example.com/posts/?q=a%20b")
    assert_headers_once(answer, hsts=False)


def test_a_program_that_asks_by_http_is_not_led_on(way: Way) -> None:
    answer = way.site.plain("/api/v1/posts", headers={"Authorization": "Bearer secret"})
    assert (answer.status, answer["Location"]) == (403, "")
    assert_headers_once(answer, hsts=False)


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1", "www.example.com.evil.test"])
def test_another_host_is_refused(host: str, way: Way) -> None:
    answer = way.site.plain("/", headers={"Host": host})
    assert (answer.status, host in answer.text) == (421, False)
    assert_headers_once(answer, hsts=False)


@pytest.mark.parametrize("zipped", [False, True])
def test_static_files_are_kept_for_a_year_and_come_compressed(zipped: bool, way: Way) -> None:
    style = way.site.get("/").text.split('rel="stylesheet" href="')[2].partition('"')[0]
    answer = way.site.get(style, headers={"Accept-Encoding": "gzip"} if zipped else {})
    assert (answer.status, answer["Content-Encoding"]) == (200, "gzip" if zipped else "")
    assert (answer["Content-Type"], answer["Vary"]) == ("text/css; charset=utf-8", "Accept-Encoding")
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer["Content-Security-Policy"] == ContentPolicy("").without_nonce
    assert answer["X-Request-ID"] == "", "Apache has served it, and not the application"
    assert_headers_once(answer)


def test_an_upload_is_data_only_and_kept_for_a_year(way: Way) -> None:
    (way.instance / "uploads" / UPLOAD).write_bytes(PNG)
    answer = way.site.get(f"/uploads/{UPLOAD}")
    assert (answer.status, answer.body, answer["Content-Type"]) == (200, PNG, "image/png")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    assert_headers_once(answer)


def test_under_repair_all_but_the_probes_is_503(way: Way) -> None:
    mark = way.instance.parent / "maintenance"
    mark.touch()
    try:
        answer, probe = way.site.get("/posts/"), way.site.get("/health")
    finally:
        mark.unlink()
    assert (answer.status, answer["Retry-After"], probe.status) == (503, "5", 200)
    assert "under repair" in answer.text
    assert_headers_once(answer)


def test_an_application_that_is_away_is_said_to_be(folder: Path) -> None:
    (folder / "nobody").mkdir()
    with apache("proxy", folder / "nobody", folder / "nobody") as site:
        answer = site.get("/")
    assert (answer.status, answer["Retry-After"], answer["Cache-Control"]) == (503, "5", "no-store")
    assert_headers_once(answer)


@pytest.mark.parametrize("path", ["/", "/auth/login", "/nothing-here", "/" + "a" * 5000])
def test_a_page_is_rated_a_plus(path: str, way: Way) -> None:
    answer = way.site.get(path)
    points, reasons = score(answer.headers, answer.text)
    assert points >= 130, reasons


def test_the_certificate_authority_finds_its_file(site: Apache) -> None:
    challenge = site.folder / "acme/.well-known/acme-challenge/token"
    challenge.parent.mkdir(parents=True, exist_ok=True)
    challenge.write_text("token.thumbprint")
    assert site.plain("/.well-known/acme-challenge/token").text == "token.thumbprint"
