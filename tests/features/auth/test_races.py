"""What happens at the same moment as a log-in: a changed password, a disabled account."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.auth import hash_password, passwords, views
from app.auth.models import Device, User
from app.extensions import db
from app.platform.database import write_unit
from tests.features.auth.people import PASSWORD, add_user
from tests.features.conftest import Visitor


@pytest.mark.parametrize("moment", ["give_back", "renewed"])
@pytest.mark.parametrize("change", [{"password_hash": hash_password("another long one")}, {"is_disabled": True}])
def test_a_log_in_that_overlaps_with_the_end_of_its_password_is_refused(
    change: dict[str, object], moment: str, app: Flask, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(app)
    place = passwords if moment == "renewed" else views.WRONG_PASSWORDS
    original = getattr(place, moment)

    def changed_meanwhile(*arguments: str) -> object:  # between the check and the write unit
        with app.app_context(), write_unit():
            db.session.execute(update(User).values(**change))
        return original(*arguments)

    monkeypatch.setattr(place, moment, changed_meanwhile)
    answer = visitor.send("/auth/login", name="ada", password=PASSWORD)
    assert (answer.status_code, "do not belong together" in answer.text) == (422, True)
    with app.app_context():
        assert db.session.scalars(select(Device)).all() == []
        user = db.session.scalars(select(User)).one()
        assert {name: getattr(user, name) for name in change} == change


def test_strangers_at_the_same_address_do_not_keep_the_owner_out(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    assert visitor.send("/auth/login", name="ada", password=PASSWORD).status_code == 303
    visitor.send("/auth/logout", form_at="/about")
    stranger = Visitor(app.test_client())
    for number in range(11):
        stranger.send("/auth/login", name=f"nobody{number}", password="wrong")
    assert stranger.send("/auth/login", name="ada", password="wrong").status_code == 429
    assert visitor.send("/auth/login", name="ada", password=PASSWORD).status_code == 303


@pytest.mark.parametrize("minutes", [1, 3, 30])
def test_who_asks_all_the_time_stays_logged_in(minutes: int, app: Flask, visitor: Visitor) -> None:
    app.config["SESSION_IDLE_MINUTES"] = minutes
    add_user(app)
    visitor.send("/auth/login", name="ada", password=PASSWORD)
    for _ in range(4):  # each time a third of the idle time later
        with app.app_context(), write_unit():
            device = db.session.scalars(select(Device)).one()
            device.seen_at -= timedelta(minutes=minutes / 3)
        assert visitor.get("/auth/account").status_code == 200
