"""After log-in and registration one gets to where one wanted to go, as long as that is on this site."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask

from tests.features.auth.people import PASSWORD, add_user, hashed, member
from tests.features.conftest import Visitor

PREFIX = "/myapp"
ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https://evil.example/",
    "http:///evil.example",
    "evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "\t//evil.example",
    "/\t/evil.example",
    " //evil.example",
    "/\r\nSet-Cookie:x=1",
    "/\nLocation: https://evil.example",
    "/\x00",
    "",
]


@pytest.fixture
def app(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application below PREFIX for who asks for that; passwords are compared without the time that takes."""
    monkeypatch.setattr("app.auth.passwords.is_right", lambda password, _: password == PASSWORD)
    monkeypatch.setattr("app.account.views.hash_password", lambda _: hashed())
    return make_app(TRUSTED_PROXIES=1)


def newcomer(app: Flask, prefix: str, number: int = 1) -> Visitor:
    """A visitor with an address of their own."""
    visitor = Visitor(app.test_client())
    visitor.client.environ_base["HTTP_X_FORWARDED_FOR"] = f"192.0.2.{number}"
    if prefix:
        visitor.client.environ_base["HTTP_X_FORWARDED_PREFIX"] = prefix
    return visitor


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("page", ["login", "register"])
def test_nobody_is_sent_to_another_site(page: str, prefix: str, app: Flask) -> None:
    reached = {}
    for number, target in enumerate(ELSEWHERE):
        name = f"grace{number}"
        if page == "login":
            add_user(app, name)
        path = f"{prefix}/auth/{page}?{urlencode({'next': target})}"
        answer = newcomer(app, prefix, number).send(path, name=name, password=PASSWORD)
        cookies = {cookie.partition("=")[0] for cookie in answer.headers.getlist("Set-Cookie")}
        reached[target] = (answer.headers.get("Location"), cookies)
    assert reached == dict.fromkeys(ELSEWHERE, (f"{prefix}/", {"groundwork", "groundwork-last"}))


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("page", ["login", "register"])
@pytest.mark.parametrize("local", ["/auth/account", "/tour/?name=a+b&more=%2F%2Fevil.example", "/%0d%0aSet-Cookie:x=1"])
def test_one_gets_to_where_one_wanted_to_go(local: str, page: str, prefix: str, app: Flask) -> None:
    if page == "login":
        add_user(app, "grace")
    path = f"{prefix}/auth/{page}?{urlencode({'next': prefix + local})}"
    answer = newcomer(app, prefix).send(path, name="grace", password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, prefix + local)


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_who_must_log_in_first_comes_back_to_the_page_and_its_query(prefix: str, app: Flask) -> None:
    add_user(app, "grace")
    visitor = newcomer(app, prefix)
    sent = visitor.get(f"{prefix}/auth/account?tab=1&x=%2F")
    assert (sent.status_code, urlsplit(sent.headers["Location"]).path) == (303, f"{prefix}/auth/login")
    answer = visitor.send(sent.headers["Location"], name="grace", password=PASSWORD)
    assert answer.headers["Location"] == f"{prefix}/auth/account?tab=1&x=%2F"
    assert visitor.get(answer.headers["Location"]).status_code == 200


def test_the_way_back_survives_the_step_to_registration(app: Flask) -> None:
    visitor = newcomer(app, "")
    page = visitor.get("/auth/login?next=/auth/account?tab%3D1").text
    assert 'href="/auth/register?next=/auth/account?tab%3D1"' in page


def test_what_was_sent_without_a_log_in_is_not_repeated_after_it(app: Flask) -> None:
    answer = newcomer(app, "").send("/auth/account/devices/end", form_at="/auth/login")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/auth/login")


@pytest.mark.parametrize(("target", "location"), [("/tour/?name=a", "/tour/?name=a"), ("//evil.example", "/")])
def test_who_is_logged_in_needs_no_form(target: str, location: str, app: Flask) -> None:
    answer = member(app).get(f"/auth/login?{urlencode({'next': target})}")
    assert (answer.status_code, answer.headers["Location"]) == (303, location)
