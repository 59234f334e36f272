"""What a browser is told about the two cookies of a log-in: who may read them, and where they are sent."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.features.auth.people import PASSWORD, add_user
from tests.features.conftest import Visitor

HTTPS = {"HTTP_X_FORWARDED_PROTO": "https"}
BELOW_A_PREFIX = {"HTTP_X_FORWARDED_PREFIX": "/myapp"}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(TRUSTED_PROXIES=1)
    add_user(app)
    return app


@pytest.mark.parametrize(
    ("proxy", "path", "marks", "more"),
    [
        ({}, "/", "", set()),
        (HTTPS, "/", "__Host-", {"Secure"}),
        (BELOW_A_PREFIX, "/myapp", "", set()),
        (HTTPS | BELOW_A_PREFIX, "/myapp", "__Secure-", {"Secure"}),
    ],
    ids=["http", "https", "http below a prefix", "https below a prefix"],
)
def test_no_script_and_no_other_site_gets_the_cookies(
    proxy: dict[str, str], path: str, marks: str, more: set[str], app: Flask
) -> None:
    visitor = Visitor(app.test_client())
    visitor.client.environ_base.update(proxy)
    answer = visitor.send(f"{path.rstrip('/')}/auth/login", name="ada", password=PASSWORD)
    told = {}
    for line in answer.headers.getlist("Set-Cookie"):
        pair, *attributes = line.split("; ")
        told[pair.partition("=")[0]] = {text for text in attributes if not text.startswith(("Expires", "Max-Age"))}
    flags = {"HttpOnly", "SameSite=Lax", f"Path={path}"} | more
    assert told == {f"{marks}groundwork": flags, f"{marks}groundwork-last": flags}


def test_a_log_in_over_https_goes_on_with_the_cookies_of_https(app: Flask) -> None:
    visitor = Visitor(app.test_client())
    visitor.client.environ_base.update(HTTPS)
    visitor.send("/auth/login", name="ada", password=PASSWORD)
    assert visitor.get("/auth/account").status_code == 200


def test_the_log_in_page_with_its_token_is_in_no_shared_cache(app: Flask) -> None:
    answer = app.test_client().get("/auth/login")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert "Set-Cookie" in answer.headers
