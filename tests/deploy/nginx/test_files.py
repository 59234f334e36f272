"""What nginx serves from the instance folder by itself, and what it leaves to the application."""

import gzip
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.edge import Edge, edge
from tests.deploy.nginx.conftest import Front
from tests.deploy.nginx.servers import SocketConnection

UPLOAD = "fedcba9876543210" * 2
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture(scope="module")
def alone(front: Front, folder: Path) -> Edge:
    """nginx with the files but without the application: what it answers, it answers itself."""
    (folder / "shared/instance/uploads" / f"{UPLOAD}.png").write_bytes(PNG)
    site: Edge = front.site
    return site


@pytest.fixture(scope="module")
def names(site: Edge) -> list[str]:
    """All static files that the home page names."""
    found = sorted(set(re.findall(r'(?:href|src)="(/static/[^"]+)"', site.get("/").text)))
    assert len(found) > 2
    return found


@pytest.fixture(scope="module")
def protected(folder: Path, run: Path, alone: Edge) -> Iterator[Edge]:
    def choose(text: str) -> str:
        return re.sub(r"(?m)^(\s+)#(valid_referers|if \(\$invalid_referer\))", r"\1\2", text)

    with edge(folder, run, edit=choose) as site:
        yield site


def test_static_files_are_served_without_the_application(names: list[str], closed: Edge) -> None:
    for name in names:
        answer = closed.get(name)
        assert (answer.status, answer["Cache-Control"]) == (200, "public, max-age=31536000, immutable")


def test_the_compressed_twin_is_sent_to_who_reads_it(names: list[str], closed: Edge, folder: Path) -> None:
    (style,) = [name for name in names if "/css/app." in name]
    answer = closed.get(style, headers={"Accept-Encoding": "gzip"})
    twin = folder / f"shared/instance{style}.gz"
    assert (answer["Content-Encoding"], answer["Vary"], answer.body) == ("gzip", "Accept-Encoding", twin.read_bytes())
    assert gzip.decompress(answer.body) == closed.get(style).body


def test_a_folder_that_nginx_may_not_enter_costs_only_speed(names: list[str], site: Edge, folder: Path) -> None:
    instance = folder / "shared/instance"
    instance.chmod(0o700)
    try:
        answer = site.get(names[0])
    finally:
        instance.chmod(0o710)
    assert (answer.status, "immutable" in answer["Cache-Control"]) == (200, True)


@pytest.mark.parametrize(
    ("suffix", "content_type"), [("css", "text/css; charset=utf-8"), ("svg", "image/svg+xml; charset=utf-8")]
)
def test_a_static_file_has_its_type(suffix: str, content_type: str, names: list[str], closed: Edge) -> None:
    assert {closed.get(name)["Content-Type"] for name in names if name.endswith(suffix)} == {content_type}


def test_a_plain_name_is_the_applications_affair(site: Edge, closed: Edge) -> None:
    assert site.get("/static/css/app.css")["Cache-Control"] == "max-age=60, public"
    assert closed.get("/static/css/app.css").status == 502


def test_uploads_are_served_without_the_application(closed: Edge, alone: Edge) -> None:
    answer = closed.get(f"/uploads/{UPLOAD}.png")
    assert (answer.status, answer.body, answer["Content-Type"]) == (200, PNG, "image/png")
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"


def test_nginx_answers_for_an_upload_as_the_application_does(alone: Edge, run: Path) -> None:
    served = alone.get(f"/uploads/{UPLOAD}.png")
    connection = SocketConnection(run / "web.sock")
    connection.request("GET", f"/uploads/{UPLOAD}.png")
    asked = connection.getresponse()
    connection.close()
    for name in ("Content-Type", "Content-Security-Policy", "X-Content-Type-Options"):
        assert served[name] == asked.headers[name], name
    assert set(served["Cache-Control"].split(", ")) == set(asked.headers["Cache-Control"].split(", "))


@pytest.mark.parametrize("name", [f"{UPLOAD}.svg", f"{UPLOAD}.png.html", f"{UPLOAD.upper()}.png", "x.png", ".draft"])
def test_nothing_else_in_the_folder_of_uploads_is_served(name: str, site: Edge, folder: Path) -> None:
    (folder / "shared/instance/uploads" / name).write_bytes(PNG)
    assert site.get(f"/uploads/{name}").status == 404


@pytest.mark.parametrize(
    "path",
    ["/secret_key", "/app.db", "/static../secret_key", "/static/../secret_key", "/static/%2e%2e/secret_key",
     "/uploads/..%2fsecret_key", "/static/..%2f..%2fsecret_key", "/.env", "/instance/secret_key"],
)  # fmt: skip
def test_nothing_else_in_the_instance_folder_can_be_reached(path: str, site: Edge, folder: Path) -> None:
    answer = site.get(path)
    assert answer.status in {400, 404}
    assert (folder / "shared/instance/secret_key").read_bytes() not in answer.body


def test_nginx_may_read_nothing_of_the_instance_folder_but_these_two(folder: Path, front: Front) -> None:
    instance = folder / "shared/instance"
    nginx = {path: 0o050 if path.group() == "www-data" else 0o005 for path in instance.iterdir()}
    readable = {path.name for path, bits in nginx.items() if path.stat().st_mode & bits}
    assert readable == {"static", "uploads"}


@pytest.mark.parametrize(
    ("referrer", "status"), [(None, 200), ("https://www.example.com/anything", 200), ("https://evil.test/", 403)]
)
def test_images_can_be_kept_from_other_sites_pages(referrer: str | None, status: int, protected: Edge) -> None:
    answer = protected.get(f"/uploads/{UPLOAD}.png", headers={"Referer": referrer} if referrer else {})
    assert answer.status == status


def test_a_page_is_compressed_and_json_is_not(site: Edge) -> None:
    asks = {"Accept-Encoding": "gzip"}
    page, document = site.get("/", headers=asks), site.get("/api/v1/openapi.json", headers=asks)
    assert (page["Content-Encoding"], document["Content-Encoding"]) == ("gzip", "")
    assert len(document.body) > 1024
    assert not document["ETag"].startswith("W/")


def test_a_form_token_is_signed_anew_so_that_its_size_tells_nothing(site: Edge) -> None:
    """Why pages with one may be compressed: BREACH has to ask for the same secret thousands of times."""
    first = site.get("/auth/login")
    cookie = first["Set-Cookie"].partition(";")[0]
    tokens = set()
    for _ in range(3):
        page = site.get("/auth/login", headers={"Cookie": cookie}).text
        tokens |= set(re.findall(r'name="csrf_token"[^>]*value="[^".]+\.([^"]+)"', page))
        time.sleep(1.05)  # the signature holds the second
    assert len(tokens) == 3
