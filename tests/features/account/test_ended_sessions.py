"""A log-in that has ended by itself is no place where somebody is logged in."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from app.auth.models import Device
from app.extensions import db
from app.platform.database import write_unit
from tests.features.auth.people import log_in, member
from tests.features.conftest import Visitor


def test_a_session_that_has_ended_is_not_listed(app: Flask) -> None:
    here = member(app)
    log_in(Visitor(app.test_client()), "ada")
    assert here.get("/auth/account").text.count("last used<") == 2
    with app.app_context(), write_unit():
        newest = db.session.scalars(select(Device).order_by(Device.id.desc())).first()
        assert newest
        newest.seen_at -= timedelta(hours=20)
    assert here.get("/auth/account").text.count("last used<") == 1
