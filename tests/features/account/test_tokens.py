"""The page of one's API tokens: made, shown once, revoked; and how private all pages of an account are."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.extensions import db
from app.platform.database import utc_now
from app.tokens.models import Token
from tests.features.auth.people import member
from tests.features.conftest import Visitor

PAGE = "/auth/account/tokens"


def make(visitor: Visitor, **fields: str) -> TestResponse:
    return visitor.send(PAGE, **{"name": "backup", "days": "90"} | fields)


def secret_in(answer: TestResponse) -> str:
    found = re.search(r"<code>(gw_[\w-]+)</code>", answer.text)
    assert found, answer.text
    return found[1]


def opens(app: Flask, secret: str) -> bool:
    """Whether a program gets in with it."""
    answer = app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


def only_token(app: Flask) -> Token:
    with app.app_context():
        return db.session.scalars(select(Token)).one()


def revoke(visitor: Visitor, token_id: int) -> TestResponse:
    return visitor.send(f"{PAGE}/{token_id}/revoke", form_at=PAGE)


def test_a_token_opens_the_api_for_its_user(app: Flask) -> None:
    secret = secret_in(make(member(app)))
    answer = app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"})
    assert answer.get_json()["name"] == "ada"


def test_a_token_is_shown_once(app: Flask) -> None:
    visitor = member(app)
    secret = secret_in(make(visitor))
    page = visitor.get(PAGE).text
    assert ("<b>backup</b>" in page, secret in page) == (True, False)


def test_the_database_does_not_know_the_token(app: Flask) -> None:
    secret = secret_in(make(member(app)))
    token = only_token(app)
    assert secret not in [getattr(token, column.key) for column in Token.__table__.columns]


def test_a_token_may_only_do_what_was_ticked(app: Flask) -> None:
    visitor = member(app)
    scope = re.findall(r'name="scopes"[^>]* value="([^"]+)"', visitor.get(PAGE).text)[0]
    make(visitor, scopes=scope)
    assert only_token(app).scopes == scope


def test_a_token_without_a_scope_makes_no_other(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {secret_in(make(member(app)))}"}
    answer = app.test_client().post("/api/v1/tokens", headers=headers, json={"name": "more"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"days": "0"}, "days"),
        ({"days": "366"}, "days"),
        ({"days": "ten"}, "days"),
        ({"days": "9" * 30}, "days"),
        ({"days": ""}, "days"),
    ],
)
def test_a_token_that_can_not_be_is_not_made(fields: dict[str, str], fault: str, app: Flask) -> None:
    visitor = member(app)
    answer = make(visitor, **fields)
    assert (answer.status_code, f'id="{fault}-wrong"' in answer.text) == (422, True)
    assert "You have none." in visitor.get(PAGE).text


def test_a_scope_that_does_not_exist_is_refused(app: Flask) -> None:
    answer = make(member(app), scopes="everything")
    assert (answer.status_code, "<code>gw_" in answer.text) == (422, False)


def test_a_token_expires(app: Flask) -> None:
    secret = secret_in(make(member(app), days="1"))
    assert opens(app, secret)
    assert timedelta(hours=23) < only_token(app).expires_at - utc_now() <= timedelta(days=1)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(update(Token).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert not opens(app, secret)


def test_a_revoked_token_opens_nothing(app: Flask) -> None:
    visitor = member(app)
    secret = secret_in(make(visitor))
    answer = revoke(visitor, only_token(app).id)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert not opens(app, secret)


def test_the_token_of_another_user_does_not_exist(app: Flask) -> None:
    secret, mallory = secret_in(make(member(app))), member(app, "mallory")
    assert revoke(mallory, only_token(app).id).status_code == 404
    assert opens(app, secret)
    assert "backup" not in mallory.get(PAGE).text


@pytest.mark.parametrize("token_id", [2, 2**63 - 1, 2**63, 10**40])
def test_a_token_that_nobody_has_does_not_exist(token_id: int, app: Flask) -> None:
    visitor = member(app)
    make(visitor)
    assert revoke(visitor, token_id).status_code == 404


# --- all pages of an account ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/auth/account", PAGE])
def test_no_cache_keeps_a_page_of_an_account(path: str, app: Flask) -> None:
    visitor = member(app)
    assert visitor.get(path).headers["Cache-Control"] == "no-store"
    refused = visitor.send(path, name="")
    assert (refused.status_code, refused.headers["Cache-Control"]) == (422, "no-store")


def test_no_cache_keeps_a_new_token(app: Flask) -> None:
    assert make(member(app)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/auth/account/x.css", "/auth/account;x.css", "/auth/account%2fx.css", "/auth/account.css"]
)
def test_an_account_is_not_shown_at_an_address_that_looks_like_a_file(path: str, app: Flask) -> None:
    assert member(app).get(path).status_code == 404


@pytest.mark.parametrize("path", ["/auth/account", PAGE])
def test_an_account_is_only_its_owners(path: str, app: Flask, visitor: Visitor) -> None:
    member(app)
    answer = visitor.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/auth/login?next={path}")
