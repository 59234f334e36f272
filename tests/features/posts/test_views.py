"""How often a post was read: counted without a write on a GET, and none is lost; the popular ones."""

import re

import pytest
from flask import Flask

from app.extensions import cache, db
from app.posts import reading
from tests.features.conftest import Visitor
from tests.features.posts.conftest import stored
from tests.features.posts.test_reading import AddPosts, titles


def views(app: Flask) -> list[int]:
    return [post.views for post in stored(app)]


def test_views_are_written_once_a_minute_and_none_is_lost(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    for _ in range(5):
        visitor.get("/posts/1").close()
    assert views(app) == [1]
    with app.app_context():
        cache.delete("views 1 asked")  # a minute later
    visitor.get("/posts/1").close()
    assert views(app) == [6]


def test_a_reader_waits_for_no_writer(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    visitor.get("/posts/1")
    with app.app_context(), db.engine.connect() as writer:
        writer.exec_driver_sql("UPDATE posts SET title = title")  # holds SQLite's one lock
        assert visitor.get("/posts/1").status_code == 200
        writer.rollback()


def test_views_that_can_not_be_written_wait_in_the_cache(
    app: Flask, visitor: Visitor, add_posts: AddPosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(1)
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE UPDATE OF views ON posts BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    answer = visitor.get("/posts/1")
    answer.close()
    with app.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER broken")
    with app.app_context():
        reading.hand_over_views(1)
    assert (answer.status_code, views(app)) == (200, [1])


def test_the_popular_posts_are_those_read_most(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    assert "Nothing was read yet" in visitor.get("/posts/popular").text
    add_posts(1, title="Read twice", views=2)
    with app.app_context():
        cache.clear()
    assert titles(visitor.get("/posts/popular").text) == ["Read twice"]


def test_the_popular_list_is_kept_for_five_minutes(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    visitor.get("/posts/popular")
    add_posts(1, views=2)
    assert titles(visitor.get("/posts/popular").text) == []


def test_what_is_kept_holds_no_token_and_nobodys_data(app: Flask, ada: Visitor, visitor: Visitor) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    assert "Edit</a>" in ada.get("/posts/1").text
    for path in ("/posts/1", "/posts/popular", "/posts/"):
        page = visitor.get(path).text
        assert "Edit</a>" not in page
        assert "csrf" not in page
        assert "Log out" not in page
        assert ">ada</a>" not in page
    tokens = {re.search(r'csrf_token" value="([^"]+)', ada.get("/posts/1").text)[1] for _ in range(2)}
    assert len(tokens) == 2 or ada.get("/posts/1").headers["Cache-Control"] == "private, no-cache"


def test_an_edit_is_seen_at_once(ada: Visitor, visitor: Visitor) -> None:
    ada.send("/posts/new", title="Before", body="Text.")
    assert "<h1>Before</h1>" in visitor.get("/posts/1").text
    ada.send("/posts/1/edit", title="After", body="Text.")
    page = visitor.get("/posts/1").text
    assert "<h1>After</h1>" in page
    assert ">edited</span>" in page


def test_a_post_without_an_edit_is_read_once_for_all_readers(
    visitor: Visitor, add_posts: AddPosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(1)
    visitor.get("/posts/1")
    monkeypatch.setattr(reading, "_rows", lambda _: pytest.fail("the database was asked"))
    assert visitor.get("/posts/1").status_code == 200
