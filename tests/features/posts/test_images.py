"""The image of a post: known by its content, stored under a name that says nothing, served as data only."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.posts.models import Post
from app.uploads import files as files_of_uploads
from tests.features.auth.people import member
from tests.features.conftest import Visitor
from tests.features.posts.conftest import stored

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
IMAGES = {
    "png": PNG,
    "jpg": b"\xff\xd8\xff\xe0" + b"\0" * 40,
    "gif": b"GIF89a" + b"\0" * 40,
    "webp": b"RIFF\x10\0\0\0WEBP" + b"\0" * 40,
}
NO_IMAGES = {
    "a script in an image's name": b"<script>alert(1)</script>",
    "SVG, which can hold scripts": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "PHP": b"<?php system('id');",
    "RIFF that is sound": b"RIFF\x10\0\0\0WAVEfmt ",
    "nothing": b"",
    "half a signature": b"\x89PNG",
}


def publish(
    visitor: Visitor, content: bytes, name: str = "a.png", path: str = "/posts/new", **more: Any
) -> TestResponse:
    return visitor.send(path, title="With an image", body="Text.", image=(io.BytesIO(content), name), **more)


def files(app: Flask) -> list[Path]:
    folder = Path(app.instance_path) / "uploads"
    return sorted(folder.iterdir()) if folder.exists() else []


def only(app: Flask) -> Post:
    (post,) = stored(app)
    return post


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_is_shown_with_its_post(kind: str, app: Flask, ada: Visitor) -> None:
    assert publish(ada, IMAGES[kind], "../../etc/ünsafe <b>.exe").status_code == 303
    (address,) = re.findall(r'<img src="(/uploads/[0-9a-f]{32}\.\w+)" alt="">', ada.get("/posts/1").text)
    answer = ada.get(address, buffered=True)
    assert (answer.status_code, answer.data) == (200, IMAGES[kind])
    assert answer.mimetype == {"jpg": "image/jpeg"}.get(kind, f"image/{kind}")
    assert [file.name for file in files(app)] == [address.rpartition("/")[2]]


def test_an_upload_is_data_only_and_kept_for_a_year(ada: Visitor) -> None:
    publish(ada, PNG)
    (address,) = re.findall(r'src="(/uploads/[^"]+)"', ada.get("/posts/1").text)
    headers = ada.get(address, buffered=True).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert {"public", "immutable", "max-age=31536000"} == set(headers["Cache-Control"].split(", "))
    assert "Set-Cookie" not in headers
    assert ada.get(address, buffered=True, headers={"If-None-Match": headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("content", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_is_refused_beside_the_field(content: bytes, app: Flask, ada: Visitor) -> None:
    answer = publish(ada, content)
    assert answer.status_code == 422
    assert re.search(r'id="image-wrong">This is no PNG, JPEG, GIF or WebP image', answer.text)
    assert "With an image" in answer.text
    assert (stored(app), files(app)) == ([], [])


def test_an_image_beyond_the_limit_is_refused(app: Flask, ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(PNG) < files_of_uploads.MAX_BYTES
    monkeypatch.setattr(files_of_uploads, "MAX_BYTES", len(PNG) - 1)
    answer = publish(ada, PNG)
    assert (answer.status_code, "The image is larger than" in answer.text) == (422, True)
    assert files(app) == []


@pytest.mark.parametrize(
    "name",
    ["..%2fapp.db", "%2e%2e/app.db", "..%5capp.db", "app.db", "0" * 32 + ".png", "0" * 32 + ".html", "a%00.png", "",
     "0" * 32 + ".png%0a", "\u0660" * 32 + ".png"],
)  # fmt: skip
def test_nothing_else_is_served_from_there(name: str, app: Flask, ada: Visitor) -> None:
    publish(ada, PNG)
    assert ada.get(f"/uploads/{name}").status_code == 404


def test_a_new_image_replaces_the_old_one_and_its_file(app: Flask, ada: Visitor) -> None:
    publish(ada, PNG)
    first = files(app)
    publish(ada, IMAGES["gif"], path="/posts/1/edit")
    assert [file.suffix for file in files(app)] == [".gif"]
    assert files(app) != first
    assert only(app).image == files(app)[0].name


def test_an_edit_without_a_file_keeps_the_image(app: Flask, ada: Visitor) -> None:
    publish(ada, PNG)
    ada.send("/posts/1/edit", title="Other", body="Text.")
    assert [file.name for file in files(app)] == [only(app).image]


def test_an_image_can_be_taken_away(app: Flask, ada: Visitor) -> None:
    publish(ada, PNG)
    ada.send("/posts/1/edit", title="Other", body="Text.", without_image="y")
    assert (only(app).image, files(app)) == (None, [])


def test_the_image_goes_with_its_post(app: Flask, ada: Visitor) -> None:
    publish(ada, PNG)
    ada.send("/posts/1/delete", form_at="/posts/1")
    assert (stored(app), files(app)) == ([], [])


def test_a_form_sent_twice_leaves_one_post_and_one_file(app: Flask, ada: Visitor) -> None:
    for _ in range(2):
        assert publish(ada, PNG, request_key="the same form").headers["Location"] == "/posts/1"
    assert [file.name for file in files(app)] == [only(app).image]


def test_nobody_can_put_an_image_to_a_post_of_somebody_else(app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    other = member(app, "grace")
    answer = other.send("/posts/1/edit", form_at="/posts/new", title="Theirs", body="x", image=(io.BytesIO(PNG), "a"))
    assert (answer.status_code, only(app).title, files(app)) == (404, "Mine", [])


def test_without_room_nothing_half_written_stays(app: Flask, ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("werkzeug.datastructures.FileStorage.save", full)
    assert publish(ada, PNG).status_code == 507
    assert (stored(app), files(app)) == ([], [])


@pytest.mark.parametrize(
    ("part", "status"),
    [("bytes=0-3", 206), ("bytes=-4", 206), ("bytes=900-", 416), ("bytes=-0", 416), ("bytes=" + "0-," * 1000, 416),
     ("pages=1", 416), ("bytes=a-b", 416)],
)  # fmt: skip
def test_a_part_of_an_image_is_given_within_bounds(part: str, status: int, ada: Visitor) -> None:
    publish(ada, PNG)
    (address,) = re.findall(r'src="(/uploads/[^"]+)"', ada.get("/posts/1").text)
    answer = ada.get(address, buffered=True, headers={"Range": part})
    assert answer.status_code == status
    assert len(answer.data) <= len(PNG) or status == 416
