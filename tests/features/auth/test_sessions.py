"""How a log-in begins and ends: the cookie is worth nothing without the row that it names."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from app.auth.models import Device, User
from app.extensions import db
from app.platform.database import utc_now
from tests.features.auth.people import PASSWORD, add_user, log_in, member
from tests.features.conftest import Visitor

COOKIE = "groundwork"


def cookie(visitor: Visitor) -> str:
    found = visitor.client.get_cookie(COOKIE)
    assert found
    return str(found.value)


def with_cookie(app: Flask, value: str) -> Visitor:
    """Somebody in another browser who has got hold of a cookie."""
    visitor = Visitor(app.test_client())
    visitor.client.set_cookie(COOKIE, value)
    return visitor


def is_in(visitor: Visitor) -> bool:
    answer = visitor.get("/auth/account")
    assert answer.status_code in {200, 303}, answer.text
    return answer.status_code == 200


def leave(visitor: Visitor) -> None:
    assert visitor.send("/auth/logout", form_at="/auth/account").status_code == 303


def only_device(app: Flask) -> Device:
    with app.app_context():
        return db.session.scalars(select(Device)).one()


def set_back(app: Flask, **times: timedelta) -> None:
    """As if the only log-in had been seen, or made, so long ago."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(update(Device).values({name: utc_now() - ago for name, ago in times.items()}))


# --- the beginning --------------------------------------------------------------------------------


def test_a_cookie_from_before_the_log_in_is_nobodys_after_it(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    visitor.get("/auth/login")
    fixed = cookie(visitor)  # an attacker may have put it there
    log_in(visitor, "ada")
    assert cookie(visitor) != fixed
    assert (is_in(visitor), is_in(with_cookie(app, fixed))) == (True, False)


def test_a_second_log_in_in_a_browser_ends_the_first(app: Flask) -> None:
    visitor = member(app)
    first = cookie(visitor)
    again = visitor.send("/auth/login", form_at="/auth/account", name="ada", password=PASSWORD)
    assert again.status_code == 303
    assert (is_in(visitor), is_in(with_cookie(app, first))) == (True, False)


def test_a_log_in_in_another_browser_ends_none(app: Flask) -> None:
    visitor, other = member(app), Visitor(app.test_client())
    log_in(other, "ada")
    assert (is_in(visitor), is_in(other)) == (True, True)


def test_a_copy_of_the_database_logs_nobody_in(app: Flask) -> None:
    payload = cookie(member(app)).lstrip(".").split(".")[0]
    secret = json.loads(base64.urlsafe_b64decode(payload + "==="))["device"]
    device = only_device(app)
    assert secret not in [getattr(device, column.key) for column in Device.__table__.columns]


# --- the end --------------------------------------------------------------------------------------


def test_a_cookie_from_before_the_log_out_is_dead(app: Flask) -> None:
    visitor = member(app)
    stolen = cookie(visitor)
    leave(visitor)
    assert (is_in(visitor), is_in(with_cookie(app, stolen))) == (False, False)


def test_a_log_out_is_said_once(app: Flask) -> None:
    visitor = member(app)
    leave(visitor)
    assert ["You are logged out." in visitor.get("/").text for _ in range(2)] == [True, False]


def test_an_image_on_another_site_logs_nobody_out(app: Flask) -> None:
    visitor = member(app)
    assert visitor.get("/auth/logout").status_code == 405
    assert is_in(visitor)


def test_who_is_not_logged_in_can_log_out(visitor: Visitor) -> None:
    assert visitor.send("/auth/logout", form_at="/auth/login").status_code == 303


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("unseen_for", "age", "lives"),
    [
        (119 * MINUTE, 119 * MINUTE, True),
        (121 * MINUTE, 121 * MINUTE, False),
        (MINUTE, 24 * HOUR - MINUTE, True),
        (MINUTE, 24 * HOUR + MINUTE, False),
    ],
)
def test_a_log_in_ends_by_itself(unseen_for: timedelta, age: timedelta, lives: bool, app: Flask) -> None:
    visitor = member(app)
    set_back(app, seen_at=unseen_for, created_at=age)
    assert is_in(visitor) is lives


def test_an_account_that_was_disabled_in_the_database_is_out_at_once(app: Flask) -> None:
    visitor = member(app)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(update(User).values(is_disabled=True))
    assert not is_in(visitor)


def test_the_operator_says_when_a_log_in_ends(make_app: Callable[..., Flask]) -> None:
    app = make_app(SESSION_IDLE_MINUTES=5)
    visitor = member(app)
    set_back(app, seen_at=6 * MINUTE)
    assert not is_in(visitor)


def test_log_ins_that_have_ended_are_removed_at_the_next_one(app: Flask) -> None:
    member(app)
    ended = only_device(app).secret_hash
    set_back(app, seen_at=25 * HOUR)
    log_in(Visitor(app.test_client()), "ada")
    assert only_device(app).secret_hash != ended


# --- when it was last used ------------------------------------------------------------------------


def seen_after_a_visit(app: Flask, visitor: Visitor) -> tuple[datetime, datetime]:
    before = only_device(app).seen_at
    assert is_in(visitor)
    return before, only_device(app).seen_at


def test_a_visit_within_five_minutes_writes_nothing(app: Flask) -> None:
    visitor = member(app)
    set_back(app, seen_at=4.9 * MINUTE)
    before, after = seen_after_a_visit(app, visitor)
    assert after == before


def test_a_later_visit_is_noted(app: Flask) -> None:
    visitor = member(app)
    set_back(app, seen_at=5.1 * MINUTE)
    before, after = seen_after_a_visit(app, visitor)
    assert after - before > 5 * MINUTE


def test_a_database_that_can_only_be_read_keeps_its_readers(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    visitor = member(app)
    set_back(app, seen_at=6 * MINUTE)
    with app.app_context():
        db.engine.dispose()
        event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    before, after = seen_after_a_visit(app, visitor)
    assert after == before
    assert "the last use of a device could not be noted" in caplog.text


# --- cookies that are not ours --------------------------------------------------------------------


def signed_by_another(app: Flask, value: str) -> str:
    app.secret_key, own = "x" * 48, app.secret_key
    serializer: Any = app.session_interface.get_signing_serializer(app)
    app.secret_key = own
    device = app.session_interface.get_signing_serializer(app).loads(value)  # type: ignore[attr-defined]
    return str(serializer.dumps(device))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _, value: ("B" if value[0] == "A" else "A") + value[1:],
        lambda _, value: value[:-8] + value[-8:].swapcase(),
        lambda _, value: value.rpartition(".")[0],
        lambda _, value: value.partition(".")[0] + "..",
        lambda _, value: "eyJhbGciOiJub25lIn0." + value.partition(".")[0] + ".",
        lambda _, value: value + value,
        lambda _, value: value + "x" * 3000,
        lambda _, __: "",
        lambda _, __: "\u00e4\u20ac",
        signed_by_another,
    ],
    ids=["content", "signature", "unsigned", "empty signature", "alg none", "twice", "long", "empty", "text", "key"],
)
def test_a_cookie_that_we_have_not_signed_is_nobodys(spoil: Callable[[Flask, str], str], app: Flask) -> None:
    assert not is_in(with_cookie(app, spoil(app, cookie(member(app)))))


def test_a_cookie_of_eight_kilobytes_is_nobodys(app: Flask) -> None:
    value = cookie(member(app))
    answer = app.test_client(use_cookies=False).get(
        "/auth/account", headers={"Cookie": f"{COOKIE}={value}{'x' * 8192}"}
    )
    assert answer.status_code == 303
