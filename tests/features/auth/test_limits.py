"""Guessing passwords: ten wrong tries in three minutes, for an account and for an address; the owner still gets in."""

from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.auth.models import User
from app.extensions import db
from app.platform.database import write_unit
from tests.features.auth.people import PASSWORD, add_user, hashed
from tests.features.conftest import Visitor


class Clock:
    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that passes when the test says so; and passwords are compared without the time that takes."""
    right = {hashed(): PASSWORD}
    monkeypatch.setattr("app.auth.passwords.is_right", lambda typed, hash_: hash_ in right and typed == right[hash_])
    clock = Clock()
    monkeypatch.setattr("app.platform.limits.time", clock)
    return clock


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(TRUSTED_PROXIES=1)
    add_user(app)
    return app


def log_in(visitor: Visitor, address: str, name: str = "ada", password: str = PASSWORD) -> TestResponse:
    visitor.client.environ_base["HTTP_X_FORWARDED_FOR"] = address
    return visitor.send("/auth/login", name=name, password=password)


def guess(app: Flask, address: str, name: str = "ada") -> int:
    """The status that somebody gets who has never been here."""
    return log_in(Visitor(app.test_client()), address, name, "wrong password").status_code


def guesses_for_ada(app: Flask, count: int = 10) -> list[int]:
    return [guess(app, f"203.0.113.{number}") for number in range(count)]


def guesses_from(app: Flask, address: str, count: int = 10) -> list[int]:
    return [guess(app, address, f"victim{number}") for number in range(count)]


WRONG, REFUSED, IN = 422, 429, 303


def test_an_account_is_tried_ten_times_from_wherever(app: Flask) -> None:
    assert guesses_for_ada(app, 12) == [WRONG] * 10 + [REFUSED] * 2
    assert guess(app, "203.0.113.99", "grace") == WRONG, "other accounts are free"


def test_an_address_tries_ten_times_whatever_the_account(app: Flask) -> None:
    assert guesses_from(app, "203.0.113.1", 12) == [WRONG] * 10 + [REFUSED] * 2
    assert guess(app, "203.0.113.2", "victim0") == WRONG, "other addresses are free"


def test_a_name_in_other_letters_is_the_same_account(app: Flask) -> None:
    guesses_for_ada(app)
    assert guess(app, "203.0.113.99", " ADA") == REFUSED


def test_a_name_that_nobody_has_is_limited_alike(app: Flask) -> None:
    statuses = [guess(app, f"203.0.113.{number}", "nobody") for number in range(11)]
    assert statuses == [WRONG] * 10 + [REFUSED]


def test_who_is_refused_reads_how_long_to_wait(app: Flask, clock: Clock) -> None:
    guesses_for_ada(app)
    clock.now += 30
    answer = log_in(Visitor(app.test_client()), "203.0.113.99")
    assert (answer.status_code, answer.headers["Retry-After"]) == (REFUSED, "150")
    assert "There were too many tries. Wait 3 minutes, then try again." in answer.text


def test_the_right_password_is_refused_too_while_the_account_is_limited(app: Flask) -> None:
    guesses_for_ada(app)
    visitor = Visitor(app.test_client())
    assert log_in(visitor, "203.0.113.99").status_code == REFUSED
    assert visitor.get("/auth/account").status_code == 303, "and nobody is in"


def test_it_is_over_after_three_minutes_however_much_somebody_hammers(app: Flask, clock: Clock) -> None:
    guesses_for_ada(app)
    clock.now += 179
    assert [guess(app, "203.0.113.99") for _ in range(5)] == [REFUSED] * 5
    clock.now += 1
    assert log_in(Visitor(app.test_client()), "203.0.113.99").status_code == IN


def test_right_passwords_use_up_no_tries(app: Flask) -> None:
    assert [log_in(Visitor(app.test_client()), "203.0.113.1").status_code for _ in range(12)] == [IN] * 12
    assert guess(app, "203.0.113.1") == WRONG


# --- the owner, and who looks like others ---------------------------------------------------------


@pytest.fixture
def owner(app: Flask) -> Visitor:
    """Ada, whose browser has been logged in before."""
    visitor = Visitor(app.test_client())
    assert log_in(visitor, "198.51.100.1").status_code == IN
    visitor.send("/auth/logout", form_at="/auth/account")
    return visitor


def test_strangers_do_not_keep_the_owner_out(app: Flask, owner: Visitor) -> None:
    assert guesses_for_ada(app, 11)[-1] == REFUSED
    assert log_in(owner, "198.51.100.1").status_code == IN


def test_the_owners_browser_tries_ten_times_as_well(owner: Visitor) -> None:
    tries = [log_in(owner, f"203.0.113.{number}", password="wrong password").status_code for number in range(11)]
    assert tries == [WRONG] * 10 + [REFUSED]


def test_who_knew_the_password_before_has_ten_tries_however_often_they_logged_in(app: Flask) -> None:
    knew = [Visitor(app.test_client()) for _ in range(3)]
    assert [log_in(visitor, "203.0.113.1").status_code for visitor in knew] == [IN] * 3
    with app.app_context(), write_unit():
        db.session.execute(db.update(User).values(password_hash="another one's"))
    for visitor in knew:
        visitor.client.delete_cookie("groundwork")
    tries = [log_in(knew[number % 3], "203.0.113.1", password="wrong password").status_code for number in range(11)]
    assert tries == [WRONG] * 10 + [REFUSED]


def test_the_owners_browser_is_a_stranger_to_other_accounts(app: Flask, owner: Visitor) -> None:
    assert [guess(app, f"203.0.113.{number}", "grace") for number in range(10)] == [WRONG] * 10
    assert log_in(owner, "198.51.100.1", "grace").status_code == REFUSED


def test_addresses_that_a_client_makes_up_do_not_help(make_app: Callable[..., Flask]) -> None:
    app = make_app(TRUSTED_PROXIES=0)
    statuses = [guess(app, f"203.0.113.{number}", f"victim{number}") for number in range(11)]
    assert statuses == [WRONG] * 10 + [REFUSED]


def test_addresses_made_up_in_front_of_the_proxys_do_not_help(app: Flask) -> None:
    statuses = [guess(app, f"203.0.113.{number}, 198.51.100.7", f"victim{number}") for number in range(11)]
    assert statuses == [WRONG] * 10 + [REFUSED]


def test_all_addresses_of_an_ipv6_network_are_one_client(app: Flask) -> None:
    statuses = [guess(app, f"2001:db8:0:1::{number:x}", f"victim{number}") for number in range(11)]
    assert statuses == [WRONG] * 10 + [REFUSED]
    assert guess(app, "2001:db8:0:2::1", "victim1") == WRONG, "the next customer is another one"
