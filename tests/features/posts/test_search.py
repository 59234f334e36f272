"""Finding posts by the words of their titles. The index belongs to the database: triggers keep it current."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import text

from app.extensions import db
from app.platform.database import write_unit
from tests.features.conftest import Visitor
from tests.features.posts.test_reading import titles

AddPosts = Callable[..., None]

TITLES = ("Python 3.11 has come", "Über die Brücke", "TCP/IP, by ada@example.com", "100 % snake_case", "A crossing")


def found(visitor: Visitor, query: str) -> list[str]:
    page = visitor.get("/posts/", query_string={"q": query})
    assert page.status_code == 200
    return titles(page.text)


@pytest.mark.parametrize(
    ("query", "title"),
    [("python", "Python 3.11 has come"), ("come has", "Python 3.11 has come"), ("3.11", "Python 3.11 has come"),
     ("11", "Python 3.11 has come"), ("PYTHON, come!", "Python 3.11 has come"), ("pyt", "Python 3.11 has come"),
     ("has com", "Python 3.11 has come"), ("  has  ", "Python 3.11 has come"), ("ÜBER", "Über die Brücke"),
     ("über", "Über die Brücke"), ("brück", "Über die Brücke"), ("ip tcp", "TCP/IP, by ada@example.com"),
     ("tcp/ip", "TCP/IP, by ada@example.com"), ("example", "TCP/IP, by ada@example.com"),
     ("ada@example.com", "TCP/IP, by ada@example.com"), ("snake", "100 % snake_case"), ("case", "100 % snake_case"),
     ("snake_case", "100 % snake_case"), ("100%", "100 % snake_case"), ("a", "A crossing")],
)  # fmt: skip
def test_a_post_is_found_by_words_of_its_title(query: str, title: str, visitor: Visitor, add_posts: AddPosts) -> None:
    for one in TITLES:
        add_posts(1, title=one)
    assert found(visitor, query) == [title]


@pytest.mark.parametrize(
    "query", ["python brücke", "py has", "py", "ython", "pythonic", "uber", "cross crossing x", "body", "python 3.12"]
)
def test_a_post_with_only_some_of_the_words_is_not_found(query: str, visitor: Visitor, add_posts: AddPosts) -> None:
    for one in TITLES:
        add_posts(1, title=one, body="A body.")
    assert found(visitor, query) == []


@pytest.mark.parametrize(
    "query",
    ["' OR 1=1--", '"', '""', "'", "AND", "a AND b", "post AND 1", "post OR 1", "NOT post", "NEAR(", "NEAR(post 1, 2)",
     "*", "post*x", "title:post", "title : post", "{title}: post", "post | x", "post & x", "!x", "post <-> x",
     "post:*A 1", "%", "_", "po%", "p_st", "\\", "\0", "po\0st", "\ud7ff", "\ufffd", "\u202e", "…", "😀",
     ";DROP TABLE posts", "x" * 3000, "x " * 1500, '"' * 1000],
)  # fmt: skip
def test_nothing_that_is_searched_for_is_an_operator(query: str, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(3)
    assert found(visitor, query) == []
    assert len(found(visitor, "post")) == 3


@pytest.mark.parametrize(
    "query", ["(post", "^post", "-post", "post*", "*post", "!post", "post:*", '"post', "post\0", "%post"]
)
def test_punctuation_beside_a_word_changes_nothing(query: str, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(3)
    assert len(found(visitor, query)) == 3


def test_ten_thousand_characters_are_no_address(visitor: Visitor) -> None:
    assert visitor.get("/posts/", query_string={"q": "x" * 10_000}).status_code == 414


def test_operators_are_words_like_any_other(visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1, title="This AND that OR nothing (NEAR *here*)")
    for query in ("and", "OR", "near(", "*here", '"that', "nothing OR", "-this", "here*"):
        assert len(found(visitor, query)) == 1, query


def test_what_was_searched_for_stays_in_the_field_as_text(visitor: Visitor) -> None:
    page = visitor.get("/posts/", query_string={"q": '"><script>alert(1)</script>'}).text
    assert 'value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in page
    assert "<script>alert" not in page


def test_pages_of_a_search_go_on_with_it(visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(45)
    add_posts(5, title="Something else")
    seen, address = [], "/posts/?q=post"
    while address:
        page = visitor.get(address).text
        assert "<h1>Found</h1>" in page
        assert 'name="q" value="post"' in page
        seen += titles(page)
        newest = re.search(r'href="([^"]+)">← Newest', page)
        assert (newest[1] if newest else None) == ("/posts/?q=post" if "before" in address else None)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"Post {number}" for number in range(45, 0, -1)]


def test_finding_nothing_is_said_and_leads_back(visitor: Visitor, add_posts: AddPosts) -> None:
    for query in ("nowhere", "!"):
        page = visitor.get("/posts/", query_string={"q": query}).text
        assert "Nothing has these words in its title" in page
        assert "There are no posts yet" not in page
        assert '<a href="/posts/">All posts</a>' in page
    add_posts(1)
    assert found(visitor, " ") == ["Post 1"]  # spaces are no search


# --- the index ----------------------------------------------------------------------------------


def test_the_index_follows_what_authors_do(ada: Visitor) -> None:
    ada.send("/posts/new", title="A crossing", body="Text.")
    assert found(ada, "crossing") == ["A crossing"]
    ada.send("/posts/1/edit", title="A bridge", body="Text.")
    assert (found(ada, "crossing"), found(ada, "bridge")) == ([], ["A bridge"])
    assert ada.send("/posts/1/delete", form_at="/posts/1").status_code == 303
    assert found(ada, "bridge") == []


def test_the_database_itself_keeps_the_index(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    """Fails when a migration has rebuilt the table of the posts without making the triggers of its index again."""
    add_posts(3)
    with app.app_context(), write_unit():
        db.session.execute(text("UPDATE posts SET title = 'A crossing' WHERE id = 1"))
        db.session.execute(text("DELETE FROM posts WHERE id = 2"))
    assert found(visitor, "crossing") == ["A crossing"]
    assert found(visitor, "post") == ["Post 3"]
    with app.app_context(), write_unit():
        db.session.execute(text("INSERT INTO posts_search(posts_search, rank) VALUES ('integrity-check', 1)"))
