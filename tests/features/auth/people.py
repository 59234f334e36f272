"""Accounts for tests, made without the 20 ms that each password costs: all have the same one."""

import functools
from typing import Any

from flask import Flask

from app.auth import hash_password
from app.auth.models import User
from app.extensions import db
from app.platform.database import write_unit
from tests.features.conftest import Visitor

PASSWORD = "correct horse battery"


@functools.cache
def hashed() -> str:
    return hash_password(PASSWORD)


def add_user(app: Flask, name: str = "ada", **values: Any) -> int:
    """The key of a new user, whose password is PASSWORD."""
    with app.app_context():
        user = User(**{"name": name, "password_hash": hashed()} | values)
        with write_unit():
            db.session.add(user)
        return user.id


def member(app: Flask, name: str = "ada", **values: Any) -> Visitor:
    """A visitor in a browser of their own, who is logged in."""
    add_user(app, name, **values)
    visitor = Visitor(app.test_client())
    log_in(visitor, name)
    return visitor


def log_in(visitor: Visitor, name: str, password: str = PASSWORD) -> None:
    answer = visitor.send("/auth/login", name=name, password=password)
    assert answer.status_code == 303, answer.text
