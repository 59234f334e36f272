"""What the doctor says of accounts."""

import threading
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from app.auth import passwords, views
from app.auth.models import User
from app.extensions import db
from app.platform.database import write_unit
from app.platform.doctor.site import Site
from tests.unit.doctor.conftest import assert_seen, look


def add(app: Flask, name: str, password_hash: str) -> None:
    with app.app_context(), write_unit():
        db.session.add(User(name=name, password_hash=password_hash))


def test_a_password_that_is_tried_first_is_found(app: Flask) -> None:
    add(app, "ada", passwords.hash_password("ada"))  # no name that is tried first
    add(app, "root", passwords.hash_password("correct horse battery"))
    assert look(app, "auth.default-users").status == "OK"
    add(app, "admin", passwords.hash_password("admin123"))
    found = look(app, "auth.default-users")
    assert_seen(found, "FAIL", "admin")
    assert found.fix.endswith("users set-password admin")


@pytest.mark.parametrize("stored", ["", "pbkdf2:sha256:1$a$b", "secret"])
def test_an_account_without_a_hash_of_ours_is_found(stored: str, app: Flask) -> None:
    add(app, "ada", stored)
    assert_seen(look(app, "auth.default-users"), "FAIL", "no hash")


def test_cheap_hashes_are_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(app, "auth.hash-cost").status == "OK"
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
    assert_seen(look(app, "auth.hash-cost"), "WARN", "1 MiB")


@pytest.fixture
def site(app: Flask) -> Iterator[Site]:
    """The application on loopback."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_log_out_that_ends_nothing_is_found(app: Flask, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(app, "auth.session-ends", site=site).status == "OK"
    monkeypatch.setattr(views, "log_out", lambda: None)
    assert_seen(look(app, "auth.session-ends", site=site), "FAIL", "still opens the account")
    with app.app_context():
        assert db.session.scalars(select(User)).all() == []  # the account that it made for itself is gone


def test_a_log_in_that_counts_no_wrong_passwords_is_found(
    app: Flask, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(views.WRONG_PASSWORDS, "count", 10**6)
        assert_seen(look(app, "live.login-limit", site=site), "FAIL", "no end")
    assert look(app, "live.login-limit", site=site).status == "OK"
