"""What the pages of posts have in common with all others: navigation, policy, methods, tokens, life below a prefix."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.features.auth.people import PASSWORD, add_user
from tests.features.conftest import Visitor
from tests.features.test_prefix import SITE, proxy


def test_the_navigation_marks_the_posts(visitor: Visitor) -> None:
    assert '<a href="/posts/">Posts</a>' in visitor.get("/about").text
    assert '<a href="/posts/" aria-current="true">Posts</a>' in visitor.get("/posts/popular").text
    assert '<a href="/posts/">See it run</a>' in visitor.get("/").text


@pytest.mark.parametrize("path", ["/posts/", "/posts/popular", "/posts/7", "/posts/?q=none"])
def test_pages_work_under_the_strict_content_policy(path: str, visitor: Visitor) -> None:
    page = visitor.get(path).text
    assert page.startswith("<!doctype html>\n<html lang=")
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert "<script>" not in page
    assert 'src="http' not in page


@pytest.mark.parametrize("path", ["/posts/", "/posts/popular"])
def test_head_is_get_without_a_body(path: str, client: FlaskClient) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    ("path", "allowed"), [("/posts/new", {"GET", "POST"}), ("/posts/1/delete", {"POST"}), ("/posts/popular", {"GET"})]
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "FOO", "OPTIONS"])
def test_other_methods_are_told_which_are_right(method: str, path: str, allowed: set[str], client: FlaskClient) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == (200 if method == "OPTIONS" else 405)
    assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize("cut", [True, False], ids=["the proxy cuts the prefix", "the proxy keeps it"])
def test_posts_work_below_a_prefix(cut: bool, make_app: Callable[..., Flask]) -> None:
    app = make_app(TRUSTED_PROXIES=1, TRUSTED_HOSTS=("www.example.com",))
    client = proxy(app, cut)

    def browse(path: str, **options: Any) -> TestResponse:
        return client.open(path, base_url=SITE, buffered=True, **options)

    def submit(path: str, **fields: str) -> TestResponse:
        (token, *_) = re.findall(r'name="csrf_token"[^>]* value="([^"]+)"', browse(path).text)
        return browse(path, method="POST", data={"csrf_token": token} | fields, headers={"Origin": SITE})

    asked = browse("/myapp/posts/new")
    assert asked.headers["Location"] == "/myapp/auth/login?next=/myapp/posts/new"
    add_user(app)
    logged_in = submit(asked.headers["Location"], name="ada", password=PASSWORD)
    assert (logged_in.status_code, logged_in.headers["Location"]) == (303, "/myapp/posts/new")
    form = browse("/myapp/posts/new").text
    links = set(re.findall(r'(?:href|src)="(/[^"]*)"', form))
    assert len(links) > 5
    for link in links:
        assert link.startswith("/myapp/")
        assert browse(link).status_code == 200
    published = submit("/myapp/posts/new", title="t", body="b")
    assert (published.status_code, published.headers["Location"]) == (303, "/myapp/posts/1")
    assert "Your post is published." in browse("/myapp/posts/1").text
    assert browse("/myapp/posts?before=7").headers["Location"] == f"{SITE}/myapp/posts/?before=7"
