"""Making an account: which names and passwords there can be, and what is said when they can not."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.account.views import REGISTRATIONS
from app.auth import user_with
from app.auth.models import User
from app.extensions import db
from tests.features.auth.people import PASSWORD, add_user, hashed, log_in
from tests.features.conftest import Visitor

NAME_RULE = "Use only a–z, 0–9, - and _, at least 3."
COMMON = "This is one of the passwords that everybody tries first. Use another one."
TAKEN = "Somebody has this name already. Choose another one."


def register(visitor: Visitor, name: str = "grace", password: str = PASSWORD) -> TestResponse:
    return visitor.send("/auth/register", name=name, password=password)


def faults(answer: TestResponse) -> dict[str, str]:
    """What is said beside which field."""
    return dict(re.findall(r'<small class="wrong" id="(\w+)-wrong">([^<]*)</small>', answer.text))


def names(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(User.name).order_by(User.id)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the 20 ms of a hash."""
    with monkeypatch.context() as patch:
        patch.setattr("app.account.views.hash_password", lambda _: hashed())
        yield


def test_who_registers_is_logged_in_and_welcome(app: Flask, visitor: Visitor) -> None:
    answer = register(visitor)
    assert (answer.status_code, answer.headers["Location"], names(app)) == (303, "/", ["grace"])
    assert "Welcome, grace. You are logged in." in visitor.get("/").text
    assert visitor.get("/auth/account").status_code == 200


def test_the_password_opens_the_account_later(app: Flask, visitor: Visitor) -> None:
    register(visitor, password="another horse battery")
    log_in(Visitor(app.test_client()), "grace", "another horse battery")


def test_nobody_registers_as_an_admin(app: Flask, visitor: Visitor) -> None:
    visitor.send("/auth/register", name="grace", password=PASSWORD, is_admin="1", id="7", is_disabled="1")
    with app.app_context():
        user = db.session.scalars(select(User)).one()
        assert (user.id, user.is_admin, user.is_disabled) == (1, False, False)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("Grace", "grace"), ("  grace ", "grace"), ("g_2-x", "g_2-x"), ("007", "007"), ("x" * 30, "x" * 30)],
)
def test_a_name_is_stored_in_small_letters(typed: str, stored: str, app: Flask, visitor: Visitor, quick: None) -> None:
    register(visitor, typed)
    assert names(app) == [stored]


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "x" * 31,
        "_grace",
        "-grace",
        "gr ace",
        "gräce",
        "grace!",
        "<b>grace",
        "grace\n\nx",
        "grace\x00",
        "../grace",
    ],
)
def test_other_names_are_refused(name: str, app: Flask, visitor: Visitor) -> None:
    answer = register(visitor, name)
    assert (answer.status_code, faults(answer), names(app)) == (422, {"name": NAME_RULE}, [])


def test_without_a_name_only_the_name_is_at_fault(visitor: Visitor) -> None:
    assert faults(register(visitor, "")) == {"name": "Choose a name."}


@pytest.mark.parametrize("name", ["ada", "ADA", " Ada "])
def test_a_name_that_somebody_has_is_refused(name: str, app: Flask, visitor: Visitor, quick: None) -> None:
    add_user(app)
    answer = register(visitor, name)
    assert (answer.status_code, faults(answer), names(app)) == (422, {"name": TAKEN}, ["ada"])
    assert visitor.get("/auth/account").status_code == 303, "nobody is logged in"


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("", "Use at least 8 characters."),
        ("seven77", "Use at least 8 characters."),
        ("x" * 1025, "Use at most 1024 characters."),
        ("password", COMMON),
        ("PassWord", COMMON),
        ("ｐａｓｓｗｏｒｄ", COMMON),  # the same, once it is normalised
        ("grace hopper", "Leave your name out of it."),
        ("hopper-GRACE-1906", "Leave your name out of it."),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str, fault: str, app: Flask, visitor: Visitor) -> None:
    answer = register(visitor, password=password)
    assert (answer.status_code, faults(answer), names(app)) == (422, {"password": fault}, [])


@pytest.mark.parametrize(
    "password", ["eight888", "x" * 1024, "no digit no capital", "密码密码密码密码", "🐎🔋📎✅🐎🔋📎✅", " " * 8]
)
def test_any_other_password_will_do(password: str, app: Flask, visitor: Visitor) -> None:
    assert register(visitor, password=password).status_code == 303
    with app.test_request_context():
        assert user_with("grace", password)


def test_what_was_typed_is_kept_but_not_the_password(visitor: Visitor) -> None:
    answer = register(visitor, "Grace Hopper", "another horse battery")
    assert 'value="grace hopper"' in answer.text
    assert "another horse battery" not in answer.text


def test_markup_in_a_name_is_text(visitor: Visitor) -> None:
    assert "<script>" not in register(visitor, '"><script>alert(1)</script>').text.partition("<main")[2]


def test_an_address_makes_ten_accounts_in_an_hour(app: Flask, quick: None) -> None:
    statuses = [register(Visitor(app.test_client()), f"grace{number}").status_code for number in range(11)]
    assert (statuses, len(names(app))) == ([303] * 10 + [429], 10)


def test_slips_in_the_form_use_up_no_account(app: Flask, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRATIONS, "count", 1)
    assert [register(visitor, name).status_code for name in ("no", "no way", "grace")] == [422, 422, 303]
