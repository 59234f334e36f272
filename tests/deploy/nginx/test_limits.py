"""nginx and the application refuse the same, and both say so clearly."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from app.platform.gateway import REQUEST_LINE_LIMIT
from config import ROOT, Config
from tests.deploy.edge import DOMAIN, Answer, Edge, edge
from tests.deploy.nginx.conftest import Front
from tests.deploy.nginx.servers import SocketConnection

SIZES = {"": 1, "k": 1024, "m": 1024**2}


def nginx_says(pattern: str) -> int:
    """A number with its unit, from what is shipped."""
    text = "".join(file.read_text() for file in (ROOT / "deploy/nginx/snippets").glob("*.conf"))
    ((number, unit),) = re.findall(pattern, text)
    return int(number) * SIZES[unit]


def gunicorn_says(setting: str) -> int:
    (number,) = re.findall(rf"(?m)^{setting} = (\d+)$", (ROOT / "gunicorn.conf.py").read_text())
    return int(number)


def test_the_files_name_the_same_limits() -> None:
    assert nginx_says(r"client_max_body_size (\d+)(m?);") == Config.model_fields["MAX_CONTENT_LENGTH"].default
    assert nginx_says(r"large_client_header_buffers 4 (\d+)(k?);") == gunicorn_says("limit_request_field_size")
    longest = nginx_says(r'"~\^:\.\{(\d+)()\}" yes;') - 1
    assert longest == gunicorn_says("limit_request_line") == REQUEST_LINE_LIMIT


def test_gunicorn_keeps_idle_connections_longer_than_nginx() -> None:
    (closes,) = re.findall(r"keepalive_timeout (\d+)s;\n\}", (ROOT / "deploy/nginx/groundwork.conf").read_text())
    (kept,) = re.findall(r"keepalive = (\d+) if bind\.startswith", (ROOT / "gunicorn.conf.py").read_text())
    assert int(closes) < int(kept)


def directly(run: Path, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    """Asked of Gunicorn, past nginx."""
    connection = SocketConnection(run / "web.sock")
    try:
        with contextlib.suppress(BrokenPipeError):  # it says no, and then takes no more of the body
            connection.request(method, path, body, headers | {"X-Forwarded-Proto": "https"})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


LINE = "a" * (REQUEST_LINE_LIMIT - len("GET / HTTP/1.1"))
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
EDGES = {
    "the longest address": ("GET", f"/{LINE}", None, {}, 404),
    "one byte more": ("GET", f"/{LINE}a", None, {}, 414),
    "the longest header": ("GET", "/about", None, {"X": "y" * 8185}, 200),
    "a byte more": ("GET", "/about", None, {"X": "y" * 8186}, 431),
    "the largest body": ("POST", "/about", b"x" * 8 * 1024**2, {}, 405),
    "a larger body": ("POST", "/auth/register", b"x" * (8 * 1024**2 + 1), FORM, 413),
}


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), EDGES.values(), ids=EDGES)
def test_nginx_and_the_application_draw_the_same_line(
    method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, site: Edge, run: Path
) -> None:
    assert site.request(method, path, body, headers).status == status
    assert directly(run, method, path, body, headers).status == status


def test_what_is_too_large_is_refused_in_the_same_words(site: Edge, run: Path) -> None:
    *request, _ = EDGES["a larger body"]
    ours, the_applications = json.loads(site.request(*request).body), json.loads(directly(run, *request).body)
    for answer in (ours, the_applications):
        assert len(answer.pop("request_id")) == 32
    assert ours == the_applications


@pytest.mark.parametrize("path", ["/auth/register", "/nothing-here", "/static/css/app.css", "/uploads/x"])
def test_a_person_who_sends_too_much_reads_what_is_wrong(path: str, site: Edge) -> None:
    answer = site.request("POST", path, b"x" * (8 * 1024**2 + 1))
    assert answer.status == 413
    assert "What was sent is too large." in answer.text
    assert answer["X-Request-ID"] in answer.text


def test_a_body_in_pieces_arrives_whole(each_front: Front) -> None:
    pieces = iter([b"in ", b"three ", b"pieces"])  # without a length, http.client sends them chunked
    received = json.loads(each_front.site.request("POST", f"{each_front.prefix}/received", pieces).body)
    assert (received["body"], "HTTP_TRANSFER_ENCODING" in received) == ("in three pieces", False)


@pytest.mark.parametrize("size", [100_000, 8 * 1024**2])
def test_an_answer_that_did_not_wait_for_the_body_arrives(size: int, each_front: Front) -> None:
    """Gunicorn and uWSGI hang up on what nobody reads, and nginx then says 502: app/platform/bodies.py reads it."""
    answers = [each_front.site.request("POST", f"{each_front.prefix}/about", b"x" * size).status for _ in range(20)]
    assert answers == [405] * 20


def many_forms(site: Edge, path: str, count: int, source: str, method: str = "POST") -> list[int]:
    body = b"" if method == "POST" else None
    return [site.request(method, path, body, source=source).status for _ in range(count)]


def test_a_program_that_tries_passwords_is_slowed_down(each_front: Front) -> None:
    answers = many_forms(each_front.site, f"{each_front.prefix}/auth/login", 45, "127.0.0.10")
    assert answers[:31] == [400] * 31
    assert 429 in answers[31:]


def test_reading_the_form_and_others_addresses_do_not_count(site: Edge) -> None:
    many_forms(site, "/auth/login", 45, "127.0.0.11")
    assert set(many_forms(site, "/auth/login", 45, "127.0.0.11", method="GET")) == {200}
    assert many_forms(site, "/auth/login", 1, "127.0.0.12") == [400]


def test_a_limit_of_connections_can_be_chosen(folder: Path, run: Path, front: Front) -> None:
    def choose(text: str) -> str:
        return re.sub(r"(?m)^#(limit_conn)", r"\1", text).replace(
            "groundwork_connections 100", "groundwork_connections 3"
        )

    with edge(folder, run, edit=choose) as site:
        streams = [site.connection() for _ in range(4)]
        statuses = []
        for stream in streams:
            stream.request("GET", "/events")
            statuses.append(stream.getresponse().status)
        for stream in streams:
            stream.close()
    assert statuses == [200, 200, 200, 429]


def curl(site: Edge, path: str, *options: str) -> str:
    here = ["--resolve", f"{DOMAIN}:{site.https}:127.0.0.1", "--cacert", str(site.authority.file), "-s", "-i"]
    command = ["curl", *here, *options, f"https://{DOMAIN}:{site.https}{path}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_http_2_is_spoken_and_has_the_same_limits(site: Edge) -> None:
    assert curl(site, "/about", "--http2").startswith("HTTP/2 200")
    assert curl(site, f"/{LINE}a", "--http2").startswith("HTTP/2 414")
    assert curl(site, "/about", "--http2", "-H", "X: " + "y" * 9000).startswith("HTTP/2 431")
