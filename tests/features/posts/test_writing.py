"""Writing a post: what is kept, what is refused and why, and that nothing written becomes markup."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from app.posts.forms import PostForm
from app.posts.models import BODY_LENGTH, TITLE_LENGTH
from tests.features.conftest import Visitor
from tests.features.posts.conftest import stored

AddPosts = Callable[..., None]


def test_a_visitor_writes_a_post_and_sees_it(app: Flask, ada: Visitor) -> None:
    answer = ada.send("/posts/new", title="  My first  ", body="Some text.\n")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/posts/1")
    page = ada.get("/posts/1").text
    assert "Your post is published." in page
    assert ">ada</span>" in page
    assert "<h1>My first</h1>" in page
    assert "Your post is published." not in ada.get("/posts/1").text
    assert [(post.title, post.body) for post in stored(app)] == [("My first", "Some text.")]


@pytest.mark.parametrize(
    ("title", "body", "marked", "reason"),
    [
        ("", "kept text", "title", "Give the post a title."),
        ("   ", "kept text", "title", "Give the post a title."),
        ("kept title", "", "body", "Write something."),
        ("kept title" + "x" * TITLE_LENGTH, "kept text", "title", "longer than 200 characters"),
        ("kept title", "kept text" + "x" * BODY_LENGTH, "body", "longer than 20000 characters"),
        ("kept\0title", "kept text", "title", "can not be stored"),
        ("kept title", "kept\0text", "body", "can not be stored"),
    ],
)
def test_a_wrong_field_is_marked_with_the_reason_and_nothing_typed_is_lost(
    title: str, body: str, marked: str, reason: str, app: Flask, ada: Visitor
) -> None:
    answer = ada.send("/posts/new", title=title, body=body)
    assert answer.status_code == 422
    assert reason in answer.text
    assert re.findall(r'aria-describedby="(\w+)-wrong"', answer.text) == [marked]
    assert re.search(rf'id="{marked}-wrong">[^<]*{reason}', answer.text)
    for typed in (title.strip(), body):
        assert typed in answer.text
    assert stored(app) == []


def test_half_a_character_is_refused(app: Flask) -> None:
    with app.test_request_context():
        form = PostForm(MultiDict({"title": "\ud800", "body": "text", "request_key": ""}), meta={"csrf": False})
        assert not form.validate()
        assert form.title.errors == ["This text has characters that can not be stored."]


@pytest.mark.parametrize("missing", ["title", "body"])
def test_a_field_that_was_not_sent_at_all_is_named(missing: str, ada: Visitor) -> None:
    fields = {"title": "t", "body": "b"}
    del fields[missing]
    answer = ada.send("/posts/new", **fields)
    assert (answer.status_code, f'id="{missing}-wrong"' in answer.text) == (422, True)


def test_the_longest_post_of_the_widest_characters_is_accepted(app: Flask, ada: Visitor) -> None:
    assert ada.send("/posts/new", title="😀" * TITLE_LENGTH, body="😀" * BODY_LENGTH).status_code == 303
    assert len(stored(app)[0].body) == BODY_LENGTH


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{1234*5678}}", "{% raw %}"]
)
def test_what_a_visitor_writes_is_text_and_never_markup(evil: str, ada: Visitor) -> None:
    ada.send("/posts/new", title=evil, body=evil)
    again = ada.send("/posts/new", title=evil, body="")
    for page in (ada.get("/posts/1").text, ada.get("/posts/").text, again.text):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "7006652" not in page
        assert evil.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;") in page


def test_fields_that_nobody_asked_for_are_not_stored(app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="t", body="b", id="99", views="1000", author_id="7", version="9")
    (post,) = stored(app)
    assert (post.id, post.views, post.author_id, post.version) == (1, 0, 1, 1)


def test_without_a_token_nothing_is_written(app: Flask, ada: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    for path in ("/posts/new", "/posts/1/edit", "/posts/1/delete"):
        answer = ada.client.post(path, data={"title": "t", "body": "b"})
        assert (answer.status_code, "This form has expired" in answer.text) == (400, True)
    assert [post.title for post in stored(app)] == ["Post 1"]


@pytest.mark.parametrize(
    ("content_type", "count"), [("application/x-www-form-urlencoded", 20_000), ("multipart/form-data", 2000)]
)
def test_thousands_of_fields_are_refused(content_type: str, count: int, app: Flask, ada: Visitor) -> None:
    fields = {f"field{number}": "1" for number in range(count)} | {"title": "t", "body": "b"}
    answer = ada.client.post("/posts/new", data=fields, content_type=content_type)
    assert (answer.status_code, stored(app)) == (413, [])
