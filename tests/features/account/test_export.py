"""One's own data, as a file: put together by a job, or at once where nobody does jobs."""

import json
from datetime import timedelta

import pytest
from flask import Flask

from app.account.export import forget_exports
from app.account.models import Export
from app.auth.models import User
from app.extensions import db
from app.platform.database import utc_now, write_unit
from tests.features.auth.people import member
from tests.features.conftest import Visitor


@pytest.fixture
def ada(app: Flask) -> Visitor:
    return member(app)


def test_the_file_holds_what_is_stored_of_its_owner_and_no_secret(ada: Visitor) -> None:
    ada.send("/auth/account/tokens", name="A script", days="30")
    asked = ada.send("/auth/account/export", form_at="/auth/account")
    assert asked.status_code == 303
    answer = ada.get("/auth/account/export")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ada.json"'
    data = json.loads(answer.text)
    assert [row["name"] for row in data["account"]] == ["ada"]
    assert [device["address"] for device in data["devices"]] == ["127.0.0.1"]
    assert [token["name"] for token in data["tokens"]] == ["A script"]
    assert "hash" not in answer.text


def test_the_page_of_the_account_leads_to_it(ada: Visitor) -> None:
    assert "Download</a>" not in ada.get("/auth/account").text
    assert ada.get("/auth/account/export").status_code == 404
    ada.send("/auth/account/export", form_at="/auth/account")
    assert "Download</a>" in ada.get("/auth/account").text


def test_strangers_get_nothing(visitor: Visitor) -> None:
    assert visitor.get("/auth/account/export").status_code == 303


def test_it_is_forgotten_after_a_week(app: Flask, ada: Visitor) -> None:
    ada.send("/auth/account/export", form_at="/auth/account")
    with app.app_context():
        forget_exports()
        assert db.session.query(Export).count() == 1
        with write_unit():
            db.session.query(Export).one().at = utc_now() - timedelta(days=8)
        forget_exports()
        assert db.session.query(Export).count() == 0


def test_it_goes_with_its_owner(app: Flask, ada: Visitor) -> None:
    ada.send("/auth/account/export", form_at="/auth/account")
    with app.app_context(), write_unit():
        db.session.delete(db.session.query(User).one())
    with app.app_context():
        assert db.session.query(Export).count() == 0


def test_who_asks_all_day_long_has_to_wait(ada: Visitor) -> None:
    statuses = [ada.send("/auth/account/export", form_at="/auth/account").status_code for _ in range(6)]
    assert statuses == [303] * 5 + [429]
