"""Reading posts page by page, and what happens with addresses that are none."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.extensions import db
from app.posts.models import Post
from tests.features.conftest import Visitor

AddPosts = Callable[..., None]


def titles(page: str) -> list[str]:
    return re.findall(r'<h2><a href="/posts/\d+">(.*?)</a></h2>', page)


# --- reading ------------------------------------------------------------------------------------


def test_an_empty_list_invites_to_write(visitor: Visitor) -> None:
    page = visitor.get("/posts/").text
    assert "There are no posts yet" in page
    assert 'href="/posts/new"' in page
    assert 'aria-label="Pages of posts"' not in page


def test_the_list_begins_with_the_newest_and_goes_back_page_by_page(visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(45)
    seen, address = [], "/posts/"
    while address:
        page = visitor.get(address).text
        seen += titles(page)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        assert ("← Newest" in page) == (address != "/posts/")
        address = older[1] if older else ""
    assert seen == [f"Post {number}" for number in range(45, 0, -1)]


def test_a_full_last_page_has_no_older_one(visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(20)
    page = visitor.get("/posts/").text
    assert len(titles(page)) == 20
    assert "Older" not in page


@pytest.mark.parametrize(
    ("before", "shown"),
    [("3", 2), ("1", 0), ("0", 0), ("-5", 0), ("9223372036854775808", 3), ("9" * 300, 3), ("abc", 3), ("1e3", 3),
     ("", 3), ("%00", 3), ("2&before=1", 1), ("1;drop", 3)],
)  # fmt: skip
def test_a_page_can_be_asked_for_from_any_point(before: str, shown: int, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(3)
    page = visitor.get(f"/posts/?before={before}")
    assert (page.status_code, len(titles(page.text))) == (200, shown)
    assert ("There are no older posts" in page.text) == (shown == 0)


def test_a_post_is_shown_whole(visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1, title="On ümlauts", body="First.\n\n  \nSecond\r\nThird.", views=3)
    page = visitor.get("/posts/1").text
    assert "<h1>On ümlauts</h1>" in page
    assert re.findall(r"<p>(\w+)\.?</p>", page) == ["First", "Second", "Third"]
    assert "read 3 times" in page
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00">', page)


@pytest.mark.parametrize(
    "key", ["2", "0", "-1", "+1", "1.0", "abc", "9223372036854775807", "9223372036854775808", "9" * 30, "9" * 4000,
            "\u0661", "1%00", "1'--", "%31x"],
)  # fmt: skip
def test_what_is_no_post_is_not_found(key: str, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    assert visitor.get(f"/posts/{key}").status_code == 404


def test_a_deleted_post_is_named_as_such(visitor: Visitor) -> None:
    assert "There is no such post. It may have been deleted." in visitor.get("/posts/7").text


@pytest.mark.parametrize("query", ["", "?before=7", "?before=7&x=%C3%A4"])
def test_the_address_without_the_last_slash_keeps_its_query(query: str, visitor: Visitor) -> None:
    answer = visitor.get(f"/posts{query}")
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"http://localhost/posts/{query}"


# --- the rest -----------------------------------------------------------------------------------


def test_seeding_fills_an_empty_database_once(app: Flask, visitor: Visitor) -> None:
    run = app.test_cli_runner().invoke
    assert run(args=["seed", "--count", "7"]).output == "Added 7 posts.\n"
    assert run(args=["seed"]).output == "There are posts already; nothing was added.\n"
    assert run(args=["seed", "--count", "0"]).exit_code == 2
    shown = titles(visitor.get("/posts/").text)
    assert len(set(shown)) == 7
    with app.app_context():
        newest_first = db.session.scalars(select(Post.id).order_by(Post.created_at.desc())).all()
        assert newest_first == sorted(newest_first, reverse=True)
        assert db.session.scalar(select(func.count()).select_from(Post)) == 7
