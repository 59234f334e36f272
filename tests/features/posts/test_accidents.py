"""What must not go wrong beside the way: files that stay, keys that come again, a text that is lost."""

import io
from pathlib import Path

import pytest
from flask import Flask

from app.extensions import cache, db
from tests.features.auth.people import member
from tests.features.conftest import Visitor
from tests.features.posts.conftest import stored
from tests.features.posts.test_images import PNG, files, publish
from tests.features.posts.test_reading import AddPosts, titles


def test_a_post_that_can_not_be_stored_leaves_no_image(app: Flask, ada: Visitor) -> None:
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON posts BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert publish(ada, PNG).status_code == 500
    assert (stored(app), files(app)) == ([], [])


def test_an_image_that_can_not_be_removed_stops_nothing(
    app: Flask, ada: Visitor, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise PermissionError(13, "The file is in use")

    publish(ada, PNG)
    assert visitor.get("/posts/1").status_code == 200
    monkeypatch.setattr(Path, "unlink", busy)
    assert ada.send("/posts/1/delete", form_at="/posts/1").status_code == 303
    monkeypatch.undo()
    assert visitor.get("/posts/1").status_code == 404


def test_the_key_of_a_deleted_post_never_comes_again(ada: Visitor) -> None:
    ada.send("/posts/new", title="First", body="Text.")
    ada.send("/posts/1/delete", form_at="/posts/1")
    answer = ada.send("/posts/new", title="Second", body="Text.")
    assert answer.headers["Location"] == "/posts/2"


def test_a_deleted_post_is_popular_no_more(app: Flask, ada: Visitor, visitor: Visitor, add_posts: AddPosts) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    visitor.get("/posts/1").close()
    with app.app_context():
        cache.clear()
    assert titles(visitor.get("/posts/popular").text) == ["Mine"]
    ada.send("/posts/1/delete", form_at="/posts/1")
    assert titles(visitor.get("/posts/popular").text) == []


def test_another_text_in_a_form_that_was_sent_is_not_lost_silently(app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="One", body="Text.", request_key="the same form")
    answer = ada.send(
        "/posts/new", title="Two", body="Text.", request_key="the same form", image=(io.BytesIO(PNG), "a")
    )
    assert (answer.status_code, "became post 1" in answer.text) == (409, True)
    assert ([post.title for post in stored(app)], files(app)) == (["One"], [])


def test_head_is_no_reading(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    visitor.client.head("/posts/1").close()
    assert [post.views for post in stored(app)] == [0]


def test_a_webp_image_has_its_type_on_every_machine(ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda *_, **__: (None, None))
    publish(ada, b"RIFF\x10\0\0\0WEBP" + b"\0" * 40)
    address = ada.get("/posts/1").text.partition('src="/uploads/')[2].partition('"')[0]
    assert ada.get(f"/uploads/{address}", buffered=True).mimetype == "image/webp"


def test_only_the_page_for_admins_deletes_what_others_wrote(app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    admin = member(app, "root", is_admin=True)
    assert admin.send("/posts/1/delete", form_at="/posts/new").status_code == 404
    assert len(stored(app)) == 1
