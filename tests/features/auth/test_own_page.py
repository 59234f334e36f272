"""What changes something in the name of a session: only a page of ours may send it, with the token of that session."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.features.auth.people import PASSWORD, add_user, log_in, member
from tests.features.conftest import Visitor

END_ALL = "/auth/account/devices/end"  # whoever gets this through has logged the visitor out


def token_at(visitor: Visitor, path: str) -> str:
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', visitor.get(path).text)
    assert found
    return found[1]


def end_all(visitor: Visitor, token: str | None = None, **headers: str) -> TestResponse:
    data = {"csrf_token": token_at(visitor, "/auth/account") if token is None else token}
    return visitor.client.post(END_ALL, data=data, headers={name.replace("_", "-"): headers[name] for name in headers})


def is_in(visitor: Visitor) -> bool:
    return visitor.get("/auth/account").status_code == 200


def token_of_another_user(app: Flask, _: Visitor) -> str:
    return token_at(member(app, "mallory"), "/auth/account")


def token_of_another_session(app: Flask, _: Visitor) -> str:
    other = Visitor(app.test_client())
    log_in(other, "ada")
    return token_at(other, "/auth/account")


def token_of_a_visitor(app: Flask, _: Visitor) -> str:
    return token_at(Visitor(app.test_client()), "/auth/login")


def cut_token(_: Flask, visitor: Visitor) -> str:
    return token_at(visitor, "/auth/account")[:-1]


@pytest.mark.parametrize(
    "token",
    [
        token_of_another_user,
        token_of_another_session,
        token_of_a_visitor,
        cut_token,
        lambda *_: "",
        lambda *_: "x" * 4000,
        lambda *_: "ä€\x00",
    ],
    ids=["another user's", "another session's", "a visitor's", "cut", "none", "long", "text"],
)
def test_a_token_that_is_not_of_this_session_changes_nothing(token: Callable[..., str], app: Flask) -> None:
    visitor = member(app)
    answer = end_all(visitor, token(app, visitor))
    assert (answer.status_code, "This form has expired" in answer.text, is_in(visitor)) == (400, True, True)


def test_a_token_from_before_the_log_in_changes_nothing(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    before = token_at(visitor, "/auth/login")
    log_in(visitor, "ada")
    assert (end_all(visitor, before).status_code, is_in(visitor)) == (400, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost"},
        {"Sec_Fetch_Site": "something new"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://sub.localhost"},
        {"Origin": "http://localhost.evil.example"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_a_page_of_another_site_changes_nothing_even_with_the_right_token(headers: dict[str, str], app: Flask) -> None:
    visitor = member(app)
    answer = end_all(visitor, **headers)
    assert (answer.status_code, is_in(visitor)) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},  # a proxy that does not say that it speaks https
        {},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_a_page_of_ours_may(headers: dict[str, str], app: Flask) -> None:
    visitor = member(app)
    assert (end_all(visitor, **headers).status_code, is_in(visitor)) == (303, False)


@pytest.mark.parametrize(("path", "name"), [("/auth/login", "ada"), ("/auth/register", "grace")])
def test_no_other_page_logs_somebody_in_as_somebody_else(path: str, name: str, app: Flask, visitor: Visitor) -> None:
    add_user(app)
    foreign = token_of_a_visitor(app, visitor)
    for token, headers, status in (
        (None, {}, 400),
        (foreign, {}, 400),
        (token_at(visitor, path), {"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        data = {"name": name, "password": PASSWORD} | ({"csrf_token": token} if token else {})
        assert visitor.client.post(path, data=data, headers=headers).status_code == status
    assert not is_in(visitor)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/auth/account", "/auth/account/tokens"])
def test_a_form_with_its_token_elsewhere_than_in_the_form_changes_nothing(path: str, app: Flask) -> None:
    visitor = member(app)
    token = token_at(visitor, "/auth/account")
    assert visitor.client.post(f"{path}?csrf_token={token}", data={"name": "grace"}).status_code == 400
