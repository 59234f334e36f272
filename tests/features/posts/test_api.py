"""Reading posts with a program: page by page, one by one, only once, and in as few statements as possible."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from app.extensions import db
from tests.features.api.programs import assert_problem
from tests.features.auth.people import add_user
from tests.features.conftest import Visitor
from tests.features.test_prefix import SITE, proxy

AddPosts = Callable[..., None]
POSTS = "/api/v1/posts"


def titles(client: FlaskClient, query: str = "") -> list[str]:
    return [post["title"] for post in client.get(f"{POSTS}{query}").json["items"]]


# --- the list -----------------------------------------------------------------------------------


def test_an_empty_list_is_a_list(client: FlaskClient) -> None:
    answer = client.get(POSTS)
    assert (answer.status_code, answer.json, "Link" in answer.headers) == (200, {"items": []}, False)


@pytest.mark.parametrize(
    ("query", "pages"), [("", 3), ("?limit=7", 7), ("?limit=45", 1), ("?limit=44", 2), ("?limit=1", 45)]
)
def test_the_list_is_walked_to_its_end_by_its_links(
    query: str, pages: int, client: FlaskClient, add_posts: AddPosts
) -> None:
    add_posts(45)
    seen, walked, address = [], 0, f"{POSTS}{query}"
    while address:
        answer = client.get(address)
        seen += [post["title"] for post in answer.json["items"]]
        found = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("Link", ""))
        walked, address = walked + 1, found[1] if found else ""
    assert (seen, walked) == ([f"Post {number}" for number in range(45, 0, -1)], pages)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (20, 20), (99, 99), (100, 100)])
def test_a_page_has_as_many_posts_as_asked_for(
    limit: int, count: int, client: FlaskClient, add_posts: AddPosts
) -> None:
    add_posts(101)
    assert len(titles(client, f"?limit={limit}")) == count


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=1000000", "limit=-1", "limit=abc", "limit=1e1", "limit=", "before=0", "before=-1",
     "before=9223372036854775808", "before=" + "9" * 30, "before=%D9%A1", "before=1.0", "q=" + "a" * 201, "page=2",
     "offset=20", "sort=title", "order=(select 1)", "author=1", "per_page=1000000"],
)  # fmt: skip
def test_what_can_not_be_asked_for_is_refused(query: str, client: FlaskClient) -> None:
    assert_problem(client.get(f"{POSTS}?{query}"), 422)


@pytest.mark.parametrize("query", ["before=1&before=2", "limit=1&limit=1", "q=a&q=b"])
def test_a_name_given_twice_is_refused(query: str, client: FlaskClient) -> None:
    assert_problem(client.get(f"{POSTS}?{query}"), 400)


def test_new_posts_do_not_shift_the_pages(client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(5)
    following = re.findall(r"<([^>]+)>", client.get(f"{POSTS}?limit=2").headers["Link"])[0]
    add_posts(3)
    assert [post["id"] for post in client.get(following).json["items"]] == [3, 2]


def test_below_a_prefix_the_links_have_it(make_app: Callable[..., Flask]) -> None:
    app = make_app(TRUSTED_PROXIES=1, TRUSTED_HOSTS=("www.example.com",))
    assert app.test_cli_runner().invoke(args=["seed", "--count", "3"]).exit_code == 0
    answer = proxy(app, cut=True).get("/myapp/api/v1/posts?limit=2", base_url=SITE)
    assert answer.headers["Link"].startswith("</myapp/api/v1/posts?limit=2&before=")


# --- searching ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [("flask", 1), ("FLASK", 1), ("fla", 1), ("grüße", 1), ("gr%C3%BC%C3%9Fe", 1), ("with flask", 1), ("flask with", 1),
     ("django", 0), ("lask", 0), ("", 3), ("  ", 3), ("%25", 0), ("_", 0), ("*", 0), ("' OR 1=1--", 0), ('"', 0),
     ("title:flask", 0), ("flask OR django", 0), ("NOT flask", 0), ("flask) --", 1), ("^flask", 1), ("%00", 0),
     ("%ff", 0), ("(select 1)", 0), ("{{7*7}}", 0), ("<script>", 0), ("😀", 0)],
)  # fmt: skip
def test_posts_are_searched_by_the_words_of_their_title(
    query: str, found: int, client: FlaskClient, add_posts: AddPosts
) -> None:
    for title in ("Begin with Flask", "Grüße", "Something else"):
        add_posts(1, title=title)
    assert len(titles(client, f"?q={query}")) == found


def test_what_was_searched_for_stays_in_the_link(client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(3, title="Fish & chips")
    answer = client.get(POSTS, query_string={"q": "fish & chips", "limit": 2})
    following = re.findall(r"<([^>]+)>", answer.headers["Link"])[0]
    assert [post["id"] for post in client.get(following).json["items"]] == [1]


@pytest.mark.parametrize("first", range(0x20, 0x3000, 0x400))
def test_no_character_is_an_operator_of_the_search(first: int, client: FlaskClient, add_posts: AddPosts) -> None:
    for code in range(first, first + 0x400, 3):
        answer = client.get(POSTS, query_string={"q": f"a{chr(code)}{chr(code + 1)} {chr(code + 2)}"})
        assert answer.status_code == 200, hex(code)


# --- one post -----------------------------------------------------------------------------------


def test_a_post_is_shown_whole(app: Flask, client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(
        1, title="On ümlauts", body="First.\n\nSecond.", author_id=add_user(app), image="0" * 32 + ".png", version=3
    )
    post = client.get(f"{POSTS}/1").json
    moments = {name: post.pop(name) for name in ("created_at", "updated_at")}
    assert post == {
        "id": 1,
        "title": "On ümlauts",
        "body": "First.\n\nSecond.",
        "author": "ada",
        "image": f"/uploads/{'0' * 32}.png",
        "version": 3,
    }
    for moment in moments.values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", moment)


def test_a_post_without_author_and_image_says_so(client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(1)
    post = client.get(f"{POSTS}/1").json
    assert (post["author"], post["image"]) == (None, None)


def test_nothing_of_an_author_but_the_name_is_shown(app: Flask, client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(1, author_id=add_user(app))
    for path in (POSTS, f"{POSTS}/1"):
        text = client.get(path).text
        assert not any(hidden in text for hidden in ("password", "argon2", "author_id", "is_admin", "request_key"))


@pytest.mark.parametrize(
    "key",
    ["2", "0", "-1", "+1", "1.0", "1e0", "abc", "9223372036854775807", "9223372036854775808", "9" * 30, "9" * 4000,
     "\u0661", "%D9%A1", "%EF%BC%91", "1%00", "%00", "%ff", "%c0%ae", "1'--", "1%20", "%31x", "1/", "1/edit"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_no_post_is_not_found(method: str, key: str, client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(1)
    answer = client.open(f"{POSTS}/{key}", method=method)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("text", ["\x01", "\x7f\x1b[31m", "\u202e", "\ufffe", "a\u2028b"])
def test_what_a_form_may_store_the_api_can_show(text: str, ada: Visitor) -> None:
    assert ada.send("/posts/new", title=text, body=text).status_code == 303
    assert titles(ada.client) == [text]


# --- only once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [POSTS, f"{POSTS}?limit=2", f"{POSTS}/1"])
def test_what_is_known_already_is_not_sent_again(path: str, client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(3)
    tag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("path", [POSTS, f"{POSTS}/1"])
def test_what_has_changed_is_sent_again(path: str, client: FlaskClient, add_posts: AddPosts) -> None:
    add_posts(1)
    tag = client.get(path).headers["ETag"]
    other = client.get(path, headers={"If-None-Match": f'{tag[:-1]}0"'})
    assert other.status_code == 200


# --- the cost -----------------------------------------------------------------------------------


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """What the database is told meanwhile."""
    told: list[str] = []

    def note(*arguments: Any) -> None:
        told.append(arguments[2])

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield told
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", [f"{POSTS}?limit=50", f"{POSTS}?limit=50&q=post", "/posts/", "/posts/?q=post"])
def test_a_page_takes_as_many_statements_for_fifty_authors_as_for_one(
    path: str, app: Flask, client: FlaskClient, add_posts: AddPosts
) -> None:
    counts = []
    for authors in (1, 50):
        for number in range(authors):
            add_posts(1, author_id=add_user(app, f"author-{authors}-{number}"))
        with statements(app) as told:
            assert f"author-{authors}-{authors - 1}" in client.get(path).text
        counts.append(len(told))
    assert (counts[0] == counts[1], counts[1] <= 3) == (True, True)
