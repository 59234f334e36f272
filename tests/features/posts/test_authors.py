"""Whose a post is: the author may change it, an admin may delete it, for others it is as if there were none."""

import pytest
from flask import Flask

from tests.features.auth.people import member
from tests.features.conftest import Visitor
from tests.features.posts.conftest import stored
from tests.features.posts.test_reading import AddPosts, titles


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return member(app, "root", is_admin=True)


@pytest.mark.parametrize("path", ["/posts/new", "/posts/1/edit"])
def test_who_is_not_logged_in_is_sent_there_and_back(path: str, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    answer = visitor.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/auth/login?next={path}")


@pytest.mark.parametrize("path", ["/posts/1/edit", "/posts/1/delete"])
def test_the_post_of_somebody_else_can_not_be_touched(path: str, app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    grace = member(app, "grace")
    answer = grace.send(path, form_at="/posts/new", title="Theirs", body="x")
    assert (answer.status_code, [post.title for post in stored(app)]) == (404, ["Mine"])
    assert "Edit</a>" not in grace.get("/posts/1").text


def test_the_form_to_edit_shows_what_is_there(ada: Visitor) -> None:
    ada.send("/posts/new", title="A & B", body="First\nSecond")
    form = ada.get("/posts/1/edit").text
    assert 'value="A &amp; B"' in form
    assert "First\nSecond</textarea>" in form


def test_a_fault_in_an_edit_changes_nothing(app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    answer = ada.send("/posts/1/edit", title="", body="Other")
    assert (answer.status_code, 'id="title-wrong"' in answer.text) == (422, True)
    assert [(post.title, post.body, post.version) for post in stored(app)] == [("Mine", "Text.", 1)]


def test_a_form_sent_twice_makes_one_post(app: Flask, ada: Visitor) -> None:
    for _ in range(2):
        answer = ada.send("/posts/new", title="Once", body="Text.", request_key="the same form")
        assert answer.headers["Location"] == "/posts/1"
    assert len(stored(app)) == 1


def test_an_author_deletes_a_post(app: Flask, ada: Visitor) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    answer = ada.send("/posts/1/delete", form_at="/posts/1")
    assert (answer.status_code, answer.headers["Location"], stored(app)) == (303, "/posts/", [])
    assert ada.get("/posts/1").status_code == 404


def test_the_posts_of_a_user_who_is_gone_stay(app: Flask, visitor: Visitor, add_posts: AddPosts) -> None:
    add_posts(1)
    assert ">A former member</span>" in visitor.get("/posts/1").text


def test_an_admin_finds_and_deletes_what_others_wrote(app: Flask, ada: Visitor, admin: Visitor) -> None:
    for title in ("Good news", "Bad news"):
        ada.send("/posts/new", title=title, body="Text.")
    page = admin.get("/admin/posts/?q=bad").text
    assert "Bad news" in page
    assert "Good news" not in page
    assert admin.send("/admin/posts/2/delete", form_at="/admin/posts/").status_code == 303
    assert titles(admin.get("/posts/").text) == ["Good news"]


def test_the_admins_list_goes_on(admin: Visitor, add_posts: AddPosts) -> None:
    add_posts(51)
    page = admin.get("/admin/posts/").text
    assert 'href="/admin/posts/?before=2" rel="next"' in page


@pytest.mark.parametrize("path", ["/admin/posts/", "/admin/posts/1/delete"])
def test_for_others_there_is_no_such_page(path: str, app: Flask, ada: Visitor, add_posts: AddPosts) -> None:
    ada.send("/posts/new", title="Mine", body="Text.")
    if path.endswith("delete"):
        assert ada.send(path, form_at="/posts/new").status_code == 404
        assert len(stored(app)) == 1
    else:
        assert ada.get(path).status_code == 404
