"""`flask users`: the first admin, and a new password for who has lost theirs."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.auth.models import User
from app.extensions import db
from tests.features.auth.people import PASSWORD, add_user, log_in, member
from tests.features.conftest import Visitor


def users(app: Flask, *arguments: str, typed: str = f"{PASSWORD}\n") -> tuple[int, str]:
    """Exit code and output of `flask users …`, with `typed` on its standard input."""
    result = app.test_cli_runner().invoke(args=["users", *arguments], input=typed)
    return result.exit_code, result.output


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.query(User).count()


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_first_admin_is_made_on_the_command_line(end: str, app: Flask, visitor: Visitor) -> None:
    assert users(app, "create-admin", "ada", typed=f"{PASSWORD}{end}") == (0, "ada can log in, and sees /admin/.\n")
    log_in(visitor, "ada")
    assert visitor.get("/admin/").status_code == 200


def test_a_user_becomes_an_admin_and_keeps_the_password(app: Flask, visitor: Visitor) -> None:
    add_user(app)
    code, output = users(app, "create-admin", "--existing", "ada")
    assert (code, output) == (0, "ada is an admin now, with the password as before.\n")
    log_in(visitor, "ada")
    assert visitor.get("/admin/").status_code == 200


def test_who_registered_the_name_before_the_operator_is_no_admin(app: Flask) -> None:
    stranger = member(app, "admin")
    code, output = users(app, "create-admin", "admin", typed="the operators password\n")
    assert (code, "There is a user admin already." in output) == (1, True)
    assert stranger.get("/admin/").status_code == 404


def test_the_last_admin_who_was_disabled_comes_back(app: Flask, visitor: Visitor) -> None:
    add_user(app, is_admin=True, is_disabled=True)
    users(app, "create-admin", "--existing", "ada")
    log_in(visitor, "ada")
    assert visitor.get("/admin/").status_code == 200


def test_the_admins_name_is_found_however_it_is_typed(app: Flask, visitor: Visitor) -> None:
    users(app, "create-admin", "Ada")
    log_in(visitor, "ada")
    assert visitor.get("/admin/").status_code == 200


@pytest.mark.parametrize("name", ["ad", "ada lovelace", "x" * 31, ""])
def test_an_admin_has_a_name_like_everybody(name: str, app: Flask) -> None:
    assert (users(app, "create-admin", name)[0], count(app)) == (1, 0)


@pytest.mark.parametrize(
    ("typed", "fault"), [("short\n", "at least 8"), ("ada lovelace\n", "your name"), ("", "at least")]
)
def test_an_admins_password_is_no_easier_to_guess(typed: str, fault: str, app: Flask) -> None:
    code, output = users(app, "create-admin", "ada", typed=typed)
    assert (code, fault in output, count(app)) == (1, True, 0)


def test_a_new_password_opens_the_account_and_ends_its_sessions(app: Flask) -> None:
    visitor, new = member(app), "another horse battery"
    code, output = users(app, "set-password", "ada", typed=f"{new}\n")
    assert (code, output) == (0, "ada has a new password, is logged out everywhere, and has no API tokens any more.\n")
    assert visitor.get("/auth/account").status_code == 303
    assert visitor.send("/auth/login", name="ada", password=PASSWORD).status_code == 422
    log_in(visitor, "ada", new)


def test_a_new_password_that_is_refused_changes_nothing(app: Flask) -> None:
    visitor = member(app)
    assert users(app, "set-password", "ada", typed="short\n")[0] == 1
    assert visitor.get("/auth/account").status_code == 200


def test_nobody_can_be_given_a_password_who_has_no_account(app: Flask, client: FlaskClient) -> None:
    assert users(app, "set-password", "nobody") == (1, "Error: There is no user nobody.\n")
