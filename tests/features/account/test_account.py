"""One's own account: where one is logged in, and a new password."""

import re

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.auth.models import Device
from app.extensions import db
from tests.features.auth.people import PASSWORD, add_user, log_in, member
from tests.features.conftest import Visitor

ACCOUNT = "/auth/account"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
CHROME = "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
NEW = "a new horse battery"


def browser(app: Flask, agent: str = FIREFOX, name: str = "ada") -> Visitor:
    """A browser in which `name` is logged in."""
    visitor = Visitor(app.test_client())
    visitor.client.environ_base["HTTP_USER_AGENT"] = agent
    log_in(visitor, name)
    return visitor


def is_in(visitor: Visitor) -> bool:
    return visitor.get(ACCOUNT).status_code == 200


def devices(visitor: Visitor) -> list[tuple[str, bool]]:
    """Their names as the page shows them, and which is this one."""
    page = visitor.get(ACCOUNT).text
    return [(name, bool(mark)) for name, mark in re.findall(r"<b>([^<]+)</b>( <mark>this one</mark>)?", page)]


def device_id(app: Flask, agent: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Device.id).where(Device.agent == agent)).one()


def change(visitor: Visitor, current: str = PASSWORD, new: str = NEW) -> TestResponse:
    return visitor.send(ACCOUNT, current=current, new=new)


def faults(answer: TestResponse) -> dict[str, str]:
    """What is said beside which field."""
    return dict(re.findall(r'<small class="wrong" id="(\w+)-wrong">([^<]*)</small>', answer.text))


# --- devices --------------------------------------------------------------------------------------


def test_both_browsers_are_listed_and_this_one_is_marked(app: Flask) -> None:
    add_user(app)
    laptop, phone = browser(app), browser(app, IPHONE)
    assert sorted(devices(laptop)) == [("Firefox on Linux", True), ("Safari on iPhone", False)]
    assert sorted(devices(phone)) == [("Firefox on Linux", False), ("Safari on iPhone", True)]


def test_nobody_elses_browser_is_listed(app: Flask) -> None:
    add_user(app)
    member(app, "mallory")
    assert devices(browser(app)) == [("Firefox on Linux", True)]


def test_one_browser_is_logged_out_from_the_other(app: Flask) -> None:
    add_user(app)
    laptop, phone = browser(app), browser(app, IPHONE)
    answer = laptop.send(f"{ACCOUNT}/devices/{device_id(app, IPHONE)}/end", form_at=ACCOUNT)
    assert (answer.status_code, answer.headers["Location"]) == (303, ACCOUNT)
    assert (is_in(laptop), is_in(phone)) == (True, False)


def test_all_browsers_are_logged_out_at_once_and_nobody_else(app: Flask) -> None:
    add_user(app)
    laptop, phone, other = browser(app), browser(app, IPHONE), member(app, "mallory")
    laptop.send(f"{ACCOUNT}/devices/end", form_at=ACCOUNT)
    assert [is_in(visitor) for visitor in (laptop, phone, other)] == [False, False, True]


@pytest.mark.parametrize("number", ["", "9223372036854775807"])
def test_nobody_logs_out_anybody_else(number: str, app: Flask) -> None:
    add_user(app)
    laptop, mallory = browser(app), member(app, "mallory")
    answer = mallory.send(f"{ACCOUNT}/devices/{number or device_id(app, FIREFOX)}/end", form_at=ACCOUNT)
    assert (answer.status_code, is_in(laptop), is_in(mallory)) == (303, True, True)


def test_the_name_that_a_browser_gives_itself_is_text(app: Flask) -> None:
    add_user(app)
    assert devices(browser(app, "<script>alert(1)</script>")) == [("&lt;script&gt;alert(1)&lt;", True)]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {CHROME}", "Chrome on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {CHROME} Edg/126.0.0.0", "Edge on Windows"),
        (f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 {CHROME} OPR/111.0.0.0", "Opera on Linux"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 {CHROME}", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) Version/17.5 Safari/604.1", "Safari on iPad"),
        ("Something (Windows NT 10.0)", "Windows"),
        ("curl/8.5.0", "curl"),
        ("x" * 300, "x" * 40),
        ("", "Unknown device"),
    ],
)
def test_a_device_has_the_name_that_people_use(agent: str, name: str, app: Flask) -> None:
    assert app.jinja_env.filters["device_name"](agent) == name


# --- a new password -------------------------------------------------------------------------------


def test_a_new_password_logs_out_all_other_browsers(app: Flask) -> None:
    add_user(app)
    laptop, phone = browser(app), browser(app, IPHONE)
    assert change(laptop).status_code == 303
    assert "Your password is changed." in laptop.get(ACCOUNT).text
    assert (is_in(laptop), is_in(phone)) == (True, False)


def test_a_new_password_gives_this_browser_a_new_session(app: Flask) -> None:
    visitor, thief = member(app), Visitor(app.test_client())
    stolen = visitor.client.get_cookie("groundwork")
    assert stolen
    change(visitor)
    thief.client.set_cookie("groundwork", stolen.value)
    assert not is_in(thief)


def test_from_then_on_only_the_new_password_counts(app: Flask) -> None:
    change(member(app))
    visitor = Visitor(app.test_client())
    assert visitor.send("/auth/login", name="ada", password=PASSWORD).status_code == 422
    log_in(visitor, "ada", NEW)


def test_without_the_current_password_nothing_changes(app: Flask) -> None:
    add_user(app)
    laptop, phone = browser(app), browser(app, IPHONE)
    answer = change(laptop, current="wrong password")
    assert (answer.status_code, faults(answer)) == (422, {"current": "This is not your password."})
    assert is_in(phone)
    log_in(Visitor(app.test_client()), "ada")


@pytest.mark.parametrize(
    ("new", "fault"),
    [("short", "Use at least 8 characters."), ("ada lovelace", "Leave your name out of it.")],
)
def test_a_new_password_that_is_easily_guessed_is_refused(new: str, fault: str, app: Flask) -> None:
    answer = change(member(app), new=new)
    assert (answer.status_code, faults(answer)) == (422, {"new": fault})
    log_in(Visitor(app.test_client()), "ada")


def test_who_found_an_open_browser_guesses_the_password_ten_times(app: Flask) -> None:
    visitor = member(app)
    statuses = [change(visitor, current="wrong password").status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]
    assert change(visitor).status_code == 429
