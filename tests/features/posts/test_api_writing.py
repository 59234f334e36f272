"""Writing posts with a program: the same rules for every method; nothing of others, nothing that has changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.posts.models import BODY_LENGTH, TITLE_LENGTH
from tests.features.api.programs import Program, assert_problem, program
from tests.features.posts.authors import author
from tests.features.posts.conftest import stored

AddPosts = Callable[..., None]
POST = {"title": "My first", "body": "Some text."}
every_method = pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
every_change = pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])


@pytest.fixture
def grace(app: Flask) -> Program:
    """An author with a post, the first one."""
    writer = author(app, "grace")
    assert writer.send("POST", "/posts", POST).status_code == 201
    return writer


def kept(app: Flask) -> list[tuple[str, str, int]]:
    return [(post.title, post.body, post.version) for post in stored(app)]


UNCHANGED = [("My first", "Some text.", 1)]


def write(writer: Program, method: str, values: Any, **headers: str) -> TestResponse:
    return writer.send(method, "/posts" if method == "POST" else "/posts/1", values, **headers)


# --- what is kept -------------------------------------------------------------------------------


def test_a_post_is_published(app: Flask) -> None:
    made = author(app).send("POST", "/posts", POST)
    assert (made.status_code, made.headers["Location"], made.headers["ETag"]) == (201, "/api/v1/posts/1", '"1"')
    assert made.json.items() >= {**POST, "id": 1, "author": "ada", "image": None, "version": 1}.items()
    assert app.test_client().get(made.headers["Location"]).json == made.json


def test_a_post_is_written_anew(app: Flask, grace: Program) -> None:
    changed = grace.send("PUT", "/posts/1", {"title": "New", "body": "All new."})
    assert (changed.status_code, changed.headers["ETag"], kept(app)) == (200, '"2"', [("New", "All new.", 2)])


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"title": "New"}, ("New", "Some text.", 2)), ({"body": "New."}, ("My first", "New.", 2)),
     ({"title": "A", "body": "B"}, ("A", "B", 2)), ({}, ("My first", "Some text.", 2))],
)  # fmt: skip
def test_a_part_of_a_post_is_changed(
    values: dict[str, str], expected: tuple[str, str, int], app: Flask, grace: Program
) -> None:
    assert grace.send("PATCH", "/posts/1", values).status_code == 200
    assert kept(app) == [expected]


def test_a_post_is_removed(app: Flask, grace: Program) -> None:
    removed = grace.send("DELETE", "/posts/1")
    assert (removed.status_code, removed.data, stored(app)) == (204, b"", [])
    assert_problem(grace.get("/posts/1"), 404)


@every_change
def test_what_was_removed_can_not_be_changed(method: str, grace: Program) -> None:
    grace.send("DELETE", "/posts/1")
    assert_problem(write(grace, method, POST), 404)


@every_method
def test_the_longest_post_of_the_widest_characters_is_kept(method: str, app: Flask, grace: Program) -> None:
    values = {"title": "😀" * TITLE_LENGTH, "body": "😀" * BODY_LENGTH}
    assert write(grace, method, values).json.items() >= values.items()


@every_method
@pytest.mark.parametrize(
    "evil",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "{% raw %}", "${7*7}", "' OR 1=1--",
     "javascript:alert(1)", "</script>", "\r\nSet-Cookie: a=b", "\u202eevil", "\x1b[31m"],
)  # fmt: skip
def test_what_an_author_writes_is_text_and_stays_as_it_is(method: str, evil: str, grace: Program) -> None:
    answer = write(grace, method, {"title": evil, "body": evil})
    again = grace.get(f"/posts/{answer.json['id']}")
    for shown in (answer, again):
        assert (shown.mimetype, shown.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
        assert (json.loads(shown.data)["title"], json.loads(shown.data)["body"]) == (evil, evil)


# --- what is refused ----------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize(
    "wrong",
    [{"title": ""}, {"title": " \t\n"}, {"title": "x" * (TITLE_LENGTH + 1)}, {"title": "a\0b"}, {"title": "\ud800"},
     {"title": 7}, {"title": None}, {"title": ["a"]}, {"title": True}, {"body": ""}, {"body": " \r\n "},
     {"body": "x" * (BODY_LENGTH + 1)}, {"body": "a\0b"}, {"body": "\udfff"}, {"body": 7}, {"body": None},
     {"body": {"a": "b"}}],
    ids=lambda wrong: json.dumps(wrong)[:30],
)  # fmt: skip
def test_a_wrong_value_is_named_and_nothing_is_kept(
    method: str, wrong: dict[str, Any], app: Flask, grace: Program
) -> None:
    answer = write(grace, method, POST | wrong)
    assert_problem(answer, 422)
    assert ([error["field"] for error in answer.json["errors"]], kept(app)) == (list(wrong), UNCHANGED)


@every_method
@pytest.mark.parametrize(
    "field",
    ["id", "author", "author_id", "user_id", "is_admin", "created_at", "updated_at", "version", "views", "image",
     "request_key", "post_id", "__class__"],
)  # fmt: skip
def test_a_field_that_nobody_asked_for_is_refused(method: str, field: str, app: Flask, grace: Program) -> None:
    answer = write(grace, method, POST | {field: 1})
    assert_problem(answer, 422)
    assert ([error["field"] for error in answer.json["errors"]], kept(app)) == ([field], UNCHANGED)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("missing", ["title", "body"])
def test_a_whole_post_needs_all_its_fields(method: str, missing: str, grace: Program) -> None:
    values = {name: value for name, value in POST.items() if name != missing}
    assert_problem(write(grace, method, values), 422)


# --- what has changed meanwhile -----------------------------------------------------------------


@every_change
@pytest.mark.parametrize("expected", ['"1"', "*", ' "1" ', '"01"'])
def test_the_version_that_was_read_is_changed(method: str, expected: str, grace: Program) -> None:
    assert write(grace, method, POST, If_Match=expected).status_code in {200, 204}


@every_change
@pytest.mark.parametrize(
    "expected",
    ['"2"', '"0"', '"-1"', '"9999999999999999999999"', "1", 'W/"1"', '"1', '""', '"', "", "x", '"abc"', "**", "'1'",
     '"1.0"', '"1e0"', '"\xd9\xa1"', "\xff", "\x7f"],
)  # fmt: skip
def test_another_version_is_left_as_it_is(method: str, expected: str, app: Flask, grace: Program) -> None:
    assert_problem(write(grace, method, POST, If_Match=expected), 412)
    assert kept(app) == UNCHANGED


def test_of_two_who_have_read_the_same_version_one_changes_it(app: Flask, grace: Program) -> None:
    tag = grace.get("/posts/1").headers["ETag"]
    statuses = [grace.send("PATCH", "/posts/1", {"title": title}, If_Match=tag).status_code for title in ("A", "B")]
    assert (statuses, kept(app)) == ([200, 412], [("A", "Some text.", 2)])


def test_the_tag_of_a_change_leads_to_the_next_one(grace: Program) -> None:
    for version in range(1, 5):
        changed = grace.send("PATCH", "/posts/1", {"title": "A"}, If_Match=f'"{version}"')
        assert changed.headers["ETag"] == f'"{version + 1}"'


def test_what_a_page_has_changed_is_another_version(app: Flask, grace: Program) -> None:
    tag = grace.get("/posts/1").headers["ETag"]
    grace.send("PUT", "/posts/1", POST)
    answer = app.test_client().get("/api/v1/posts/1", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')


# --- what belongs to others ---------------------------------------------------------------------


@every_change
@pytest.mark.parametrize("expected", ["*", '"1"', '"7"'])
def test_the_post_of_somebody_else_is_not_there_to_be_changed(
    method: str, expected: str, app: Flask, grace: Program
) -> None:
    assert_problem(write(author(app), method, {"title": "Mine", "body": "now"}, If_Match=expected), 404)
    assert kept(app) == UNCHANGED


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_not_even_an_admin_writes_in_the_name_of_others(method: str, app: Flask, grace: Program) -> None:
    assert_problem(write(author(app, is_admin=True), method, POST), 404)


def test_an_admins_token_removes_the_admins_own_posts_only(app: Flask, grace: Program) -> None:
    assert_problem(author(app, is_admin=True).send("DELETE", "/posts/1"), 404)


@every_change
def test_the_post_of_a_former_member_is_nobodys(method: str, app: Flask, add_posts: AddPosts) -> None:
    add_posts(1)
    assert_problem(write(author(app), method, POST), 404)


@every_change
@pytest.mark.parametrize(
    "key",
    ["7", "0", "-1", "abc", "9223372036854775807", "9223372036854775808", "9" * 30, "\u0661", "%D9%A1", "1%00", "1'--"],
)
def test_what_is_no_post_can_not_be_changed(method: str, key: str, app: Flask, grace: Program) -> None:
    assert_problem(grace.send(method, f"/posts/{key}", POST), 404)
    assert kept(app) == UNCHANGED


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_without_a_token_nothing_is_written(method: str, app: Flask, grace: Program) -> None:
    path = "/api/v1/posts" if method == "POST" else "/api/v1/posts/1"
    assert_problem(app.test_client().open(path, method=method, json=POST), 401)
    assert kept(app) == UNCHANGED


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_without_the_scope_nothing_is_written(method: str, app: Flask, grace: Program) -> None:
    (post,) = stored(app)
    assert post.author_id
    assert_problem(write(program(app, post.author_id, "tokens:write"), method, POST), 403)
    assert kept(app) == UNCHANGED
