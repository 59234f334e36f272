"""Style sheets, scripts and images: names that change with the content, kept by browsers, small on the way."""

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient

from app.platform import static_files
from config import ROOT, TestingConfig

CSS = ROOT / "app/static/css/app.css"


def hashed_url(app: Flask, name: str = "css/app.css") -> str:
    with app.test_request_context():
        return url_for("static", filename=name)


def test_a_pages_style_sheet_may_be_kept_for_a_year(app: Flask, client: FlaskClient) -> None:
    url = hashed_url(app)
    assert re.fullmatch(r"/static/css/app\.[0-9a-f]{12}\.css", url)
    assert f'href="{url}"' in client.get("/").text
    answer = client.get(url, buffered=True)
    assert (answer.status_code, answer.data) == (200, CSS.read_bytes())
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
    assert answer.mimetype == "text/css"


def test_a_plain_name_is_kept_for_a_minute(client: FlaskClient) -> None:
    answer = client.get("/static/css/app.css", buffered=True)
    assert answer.data == CSS.read_bytes()
    assert answer.headers["Cache-Control"] == "max-age=60, public"


def test_a_large_file_travels_compressed(app: Flask, client: FlaskClient) -> None:
    url = hashed_url(app, "vendor/pico-2.1.1/pico.min.css")
    small = client.get(url, headers={"Accept-Encoding": "gzip"}, buffered=True)
    whole = client.get(url, buffered=True)
    assert small.headers["Content-Encoding"] == "gzip"
    assert small.headers["Vary"] == whole.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(small.data) == whole.data
    assert len(small.data) < len(whole.data) / 3


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_what_the_browser_has_is_not_sent_again(header: str, app: Flask, client: FlaskClient) -> None:
    url = hashed_url(app)
    seen = client.get(url, buffered=True).headers[header]
    condition = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}[header]
    again = client.get(url, headers={condition: seen}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/nowhere.css",
        "/static/css/app.000000000000.css",
        "/static/",
        "/static/css",
        "/static/..%2f..%2fconfig.py",
        "/static/%2e%2e/__init__.py",
        "/static/..%5c..%5cconfig.py",
        "/static/js/app.js%00.html",
        "/static//etc/passwd",
        "/static/../../config.py",
    ],
)
def test_nothing_else_is_served(path: str, client: FlaskClient) -> None:
    assert client.get(path, follow_redirects=True).status_code == 404


def test_files_are_published_for_nginx_once(app: Flask, make_app: Callable[..., Flask]) -> None:
    folder = Path(app.instance_path) / "static"
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    (css,) = (name for name in names if re.fullmatch(r"css/app\.\w{12}\.css", name))
    assert f"{css}.gz" in names
    assert (folder / css).stat().st_mode & 0o777 == 0o644
    assert not any("tmp" in name for name in names)
    before = (folder / css).stat().st_ino
    static_files.init_app(app, folder)
    assert (folder / css).stat().st_ino == before


def test_a_page_from_before_a_release_keeps_its_style(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    folder = Path(app.instance_path) / "static"
    earlier, forgotten = folder / "css/app.0123456789ab.css", folder / "css/app.ba9876543210.css"
    for file in (earlier, forgotten):
        file.write_text("body {}")
    os.utime(forgotten, (0, 0))
    static_files.init_app(app, folder)
    client = app.test_client()
    assert client.get("/static/css/app.0123456789ab.css", buffered=True).text == "body {}"
    assert client.get("/static/css/app.ba9876543210.css", buffered=True).status_code == 404
    assert not forgotten.exists(), "after 30 days no browser shows a page that needs it"


def test_a_folder_that_can_not_be_written_costs_only_the_compression(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    read_only = Flask("app", root_path=app.root_path)
    static_files.init_app(read_only, tmp_path / "file/static")
    answer = read_only.test_client().get(hashed_url(read_only), headers={"Accept-Encoding": "gzip"}, buffered=True)
    assert (answer.status_code, answer.data) == (200, CSS.read_bytes())
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Content-Encoding" not in answer.headers
    assert "static files are served uncompressed" in caplog.text


def test_a_file_without_a_suffix_gets_a_hashed_name_too(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static/LICENSE").write_text("free")
    app = Flask("app", root_path=str(tmp_path))
    static_files.init_app(app, tmp_path / "published")
    url = hashed_url(app, "LICENSE")
    assert re.fullmatch(r"/static/LICENSE\.[0-9a-f]{12}", url)
    assert app.test_client().get(url, buffered=True).data == b"free"


def test_a_developer_always_sees_the_file_of_this_moment(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TestingConfig, "DEBUG", True)
    app = make_app()
    url = hashed_url(app)
    assert url == "/static/css/app.css"
    assert app.test_client().get(url, buffered=True).headers["Cache-Control"] == "no-cache, max-age=0"
    assert not os.path.exists(os.path.join(app.instance_path, "static"))
