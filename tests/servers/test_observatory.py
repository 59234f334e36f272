"""The headers of the pages as they leave over TLS, rated by public rules."""

import http.client
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.servers import ROOT, environment
from tests.servers.observatory import grade, score
from tests.servers.running import Running, free_port, wait_until

BAR = 150
Answer = tuple[int, list[tuple[str, str]], str]


class Site(NamedTuple):
    port: int
    certificate: Path


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Gunicorn with a certificate made for it."""
    folder = tmp_path_factory.mktemp("https")
    key, certificate, port = folder / "key.pem", folder / "certificate.pem", free_port()
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    site = Site(port, certificate)
    binary = Path(sys.executable).with_name("gunicorn")
    command = [binary, "-w", "1", "--bind", f"127.0.0.1:{port}", "--keyfile", key, "--certfile", certificate]
    server = Running([*command, "wsgi:app"], cwd=ROOT, env=environment(folder))
    try:
        wait_until(lambda: answers(site), 30, lambda: server.output)
        yield site
    finally:
        server.kill()


def ask(site: Site, path: str, **headers: str) -> Answer:
    trusting = ssl.create_default_context(cafile=site.certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", site.port, timeout=10, context=trusting)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read().decode()
    finally:
        connection.close()


def answers(site: Site) -> bool:
    try:
        return ask(site, "/health")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/about", 200), ("/tour/", 200), ("/nothing-here", 404)])
def test_a_page_is_rated_a_plus(path: str, status: int, https: Site) -> None:
    found, headers, html = ask(https, path)
    points, reasons = score(headers, html)
    assert found == status
    assert (points >= BAR, grade(points)) == (True, "A+"), reasons


def test_an_error_before_the_application_is_rated_a_plus(https: Site) -> None:
    status, headers, html = ask(https, "/", Host="bad host")
    points, reasons = score(headers, html)
    assert (status, points >= BAR) == (400, True), reasons


@pytest.mark.parametrize(
    ("header", "value", "less"),
    [
        ("Content-Security-Policy", None, True),
        ("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'", True),
        ("Strict-Transport-Security", None, True),
        ("Strict-Transport-Security", "max-age=60", True),
        ("X-Content-Type-Options", None, True),
        ("Cross-Origin-Embedder-Policy", "unsafe-none", True),
        ("Set-Cookie", "session=1; HttpOnly; SameSite=Lax", True),
        ("Set-Cookie", "session=1; Secure; HttpOnly; SameSite=Lax", False),
    ],
)
def test_the_rating_sees_what_is_missing(header: str, value: str | None, less: bool, https: Site) -> None:
    _, headers, html = ask(https, "/")
    changed = [pair for pair in headers if pair[0].lower() != header.lower()]
    changed += [(header, value)] if value else []
    assert (score(changed, html)[0] < BAR) == less
