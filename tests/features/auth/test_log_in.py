"""Logging in: who may, what is learnt by who may not, and which passwords there can be."""

import io
import re
import unicodedata
from datetime import UTC, datetime

import pytest
from argon2 import PasswordHasher
from flask import Flask

from app.auth import hash_password
from app.auth.models import User
from app.extensions import db
from tests.features.auth.people import PASSWORD, add_user, log_in
from tests.features.conftest import Visitor


def password_hash(app: Flask) -> str:
    with app.app_context():
        return str(db.session.scalar(db.select(User.password_hash)))


def is_in(visitor: Visitor) -> bool:
    return visitor.get("/auth/account").status_code == 200


def test_who_logs_in_is_named_on_every_page(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    log_in(visitor, "ada")
    assert re.search(r'href="/auth/account"[^>]*>ada</a>', visitor.get("/about").text)


@pytest.mark.parametrize("typed", ["ADA", "  ada ", "Ada"])
def test_a_name_is_the_same_however_it_is_typed(typed: str, app: Flask, visitor: Visitor) -> None:
    add_user(app)
    log_in(visitor, typed)
    assert is_in(visitor)


def test_nobody_learns_whether_there_is_such_an_account(app: Flask, visitor: Visitor) -> None:
    add_user(app, "member")
    add_user(app, "barred", is_disabled=True)
    answers = set()
    for name, password in (("member", "wrong horse battery"), ("nobody", PASSWORD), ("barred", PASSWORD)):
        answer = visitor.send("/auth/login", name=name, password=password)
        page = re.sub(r'(name="csrf_token"[^>]*) value="[^"]+"', r"\1", answer.text).replace(name, "NAME")
        answers.add((answer.status_code, len(answer.data), page))
    assert len(answers) == 1
    assert 'id="password-wrong">Name and password do not belong together.<' in answers.pop()[2]


def test_a_refused_visitor_finds_the_name_but_not_the_password_in_the_form(visitor: Visitor) -> None:
    answer = visitor.send("/auth/login", name="nobody", password="my other password")
    assert 'value="nobody"' in answer.text
    assert "my other password" not in answer.text


def test_what_is_no_text_is_missing(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    sent = {"name": (io.BytesIO(b"ada"), "a file"), "password": PASSWORD}
    answers = [visitor.send("/auth/login", **sent)]
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', answers[0].text)
    assert token
    for body in ('{"name": 5, "password": "x"}', '{"name": "ada", "password": "\\ud800"}', "[1]", "[" * 5000):
        headers = {"Content-Type": "application/json", "X-CSRFToken": token[1]}
        answers.append(visitor.client.post("/auth/login", data=body, headers=headers))
    for answer in answers:
        assert answer.status_code == 422
        assert "Say who you are." in answer.text


@pytest.mark.parametrize(("field", "fault"), [("name", "Say who you are."), ("password", "Type your password.")])
def test_what_is_missing_is_said_beside_its_field(field: str, fault: str, visitor: Visitor) -> None:
    answer = visitor.send("/auth/login", **{"name": "ada", "password": PASSWORD} | {field: ""})
    assert (answer.status_code, f'id="{field}-wrong">{fault}<' in answer.text) == (422, True)


LONG = "every word of this sentence counts, and there are many of them: " * 3
DECOMPOSED = unicodedata.normalize("NFD", "café à la crème")


@pytest.mark.parametrize(
    ("password", "typed", "status"),
    [
        (f"{PASSWORD} ", f"{PASSWORD} ", 303),
        (f"{PASSWORD} ", PASSWORD, 422),
        (PASSWORD, f"{PASSWORD} ", 422),
        (PASSWORD, f" {PASSWORD}", 422),
        (PASSWORD, PASSWORD.upper(), 422),
        (LONG, LONG, 303),
        (LONG, LONG[:128], 422),
        ("x" * 1024, "x" * 1024, 303),
        ("пароль из слов 🐎🔋", "пароль из слов 🐎🔋", 303),
        (unicodedata.normalize("NFC", DECOMPOSED), DECOMPOSED, 303),
        ("ﬁne words", "fine words", 303),
    ],
)
def test_a_password_counts_whole_and_as_it_was_typed(
    password: str, typed: str, status: int, app: Flask, visitor: Visitor
) -> None:
    add_user(app, password_hash=hash_password(password))
    assert visitor.send("/auth/login", name="ada", password=typed).status_code == status


@pytest.mark.parametrize(("size", "status"), [(1025, 422), (1024 * 1024, 413)])
def test_a_password_that_nobody_can_have_is_not_even_hashed(
    size: int, status: int, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.auth.passwords.is_right", lambda *_: pytest.fail("it was hashed"))
    assert visitor.send("/auth/login", name="ada", password="x" * size).status_code == status


def test_a_weaker_hash_of_former_days_is_replaced_at_log_in(app: Flask, visitor: Visitor) -> None:
    add_user(app, password_hash=PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD))
    log_in(visitor, "ada")
    assert "m=19456,t=2,p=1" in password_hash(app)
    log_in(Visitor(app.test_client()), "ada")


def test_a_log_in_with_todays_hash_leaves_it_as_it_is(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    before = password_hash(app)
    log_in(visitor, "ada")
    assert password_hash(app) == before


def test_a_hash_that_can_not_be_read_opens_nothing(app: Flask, visitor: Visitor) -> None:
    add_user(app, password_hash=PASSWORD)
    assert visitor.send("/auth/login", name="ada", password=PASSWORD).status_code == 422


def test_a_refused_log_in_is_in_the_log_without_its_password(
    visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.send("/auth/login", name="nobody", password="my other password")
    refused = [record for record in caplog.records if record.message == "log-in refused"]
    assert [(record.user, record.client) for record in refused] == [("nobody", "127.0.0.1")]  # type: ignore[attr-defined]
    assert not any("my other password" in str(vars(record)) for record in caplog.records)


# --- the log-in before ----------------------------------------------------------------------------

HINT = "Last log-in in this browser: ada"


def leave(visitor: Visitor) -> None:
    assert visitor.send("/auth/logout", form_at="/auth/account").status_code == 303


def test_the_page_says_who_logged_in_last_in_this_browser(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    assert "Last log-in" not in visitor.get("/auth/login").text
    log_in(visitor, "ada")
    leave(visitor)
    assert f'{HINT}, <time datetime="{datetime.now(UTC):%Y-%m-%dT%H}' in visitor.get("/auth/login").text


@pytest.mark.parametrize("spoil", [lambda value: value[:-1] + "!", lambda _: "e30", lambda _: "", lambda _: "x" * 4000])
def test_a_cookie_that_we_have_not_signed_says_nothing(spoil: object, app: Flask, visitor: Visitor) -> None:
    add_user(app)
    log_in(visitor, "ada")
    leave(visitor)
    cookie = visitor.client.get_cookie("groundwork-last")
    assert cookie
    assert callable(spoil)
    visitor.client.set_cookie("groundwork-last", spoil(cookie.value))
    page = visitor.get("/auth/login")
    assert (page.status_code, "Last log-in" in page.text) == (200, False)


def test_the_cookie_of_the_last_log_in_is_no_session(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    log_in(visitor, "ada")
    last = visitor.client.get_cookie("groundwork-last")
    assert last
    thief = Visitor(app.test_client())
    thief.client.set_cookie("groundwork-last", last.value)
    thief.client.set_cookie("groundwork", last.value)
    assert not is_in(thief)
