"""Tokens: they open what they say and nothing else, are shown once, and end when they should."""

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.auth.models import User
from app.extensions import db
from app.platform.database import utc_now, write_unit
from app.tokens.models import Token
from tests.features.api.programs import Program, add_token, assert_problem, program
from tests.features.auth.people import add_user, member


def stored(app: Flask) -> list[Token]:
    with app.app_context():
        return list(db.session.scalars(select(Token).order_by(Token.id)))


def test_a_token_says_who_it_is_and_what_it_may(app: Flask, ada: int) -> None:
    answer = program(app, ada, "tokens:write").get("/me")
    assert answer.json == {"id": ada, "name": "ada", "is_admin": False, "scopes": ["tokens:write"]}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_may_be_written_in_any_case(scheme: str, app: Flask, ada: int) -> None:
    headers = {"Authorization": f"{scheme} {add_token(app, ada)}"}
    assert app.test_client().get("/api/v1/me", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer gw_", "Bearer wrong", "Bearer gw_" + "x" * 43, "Bearer \xff\xfe", "Bearer a b c",
     "Bearer " + "x" * 8000, "Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==", "Basic x", "Digest username=ada", "Token x",
     "gw_", "null", " ", ",", "Bearer ' OR 1=1--"],
)  # fmt: skip
def test_what_is_no_token_of_ours_opens_nothing(authorization: str, app: Flask, ada: int) -> None:
    add_token(app, ada)
    answer = app.test_client().get("/api/v1/me", headers={"Authorization": authorization})
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "change",
    [
        str.lower,
        str.upper,
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret.removeprefix("gw_"),
        lambda secret: f"{secret},{secret}",
    ],
)
def test_a_token_counts_whole_or_not_at_all(change: Callable[[str], str], app: Flask, ada: int) -> None:
    assert_problem(Program(app.test_client(), change(add_token(app, ada))).get("/me"), 401)


def test_the_hash_in_the_database_is_no_token(app: Flask, ada: int) -> None:
    add_token(app, ada)
    assert_problem(Program(app.test_client(), stored(app)[0].secret_hash).get("/me"), 401)


def test_a_token_that_has_expired_opens_nothing(app: Flask, ada: int) -> None:
    answer = Program(app.test_client(), add_token(app, ada, days=0)).get("/me")
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_that_was_revoked_opens_nothing(app: Flask, ada: int, with_tokens: Program) -> None:
    other = program(app, ada)
    assert other.get("/me").status_code == 200
    assert with_tokens.send("DELETE", "/tokens/2").status_code == 204
    assert_problem(other.get("/me"), 401)


def test_a_token_may_revoke_itself(with_tokens: Program) -> None:
    assert with_tokens.send("DELETE", "/tokens/1").status_code == 204
    assert_problem(with_tokens.get("/me"), 401)


def test_the_token_of_a_disabled_user_opens_nothing(app: Flask, ada: int) -> None:
    hers = program(app, ada)
    with app.app_context(), write_unit():
        db.session.execute(update(User).values(is_disabled=True))
    assert_problem(hers.get("/me"), 401)


def test_beside_a_wrong_token_a_cookie_does_not_count(app: Flask) -> None:
    visitor = member(app)
    assert visitor.get("/api/v1/me").status_code == 200
    assert_problem(visitor.get("/api/v1/me", headers={"Authorization": "Bearer wrong"}), 401)


def test_beside_a_token_the_cookie_of_somebody_else_does_not_count(app: Flask) -> None:
    visitor = member(app)
    headers = {"Authorization": f"Bearer {add_token(app, add_user(app, 'grace'))}"}
    assert visitor.get("/api/v1/me", headers=headers).json["name"] == "grace"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/me"), ("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/1")]
)
def test_without_anything_nobody_gets_in(method: str, path: str, app: Flask) -> None:
    answer = app.test_client().open(f"/api/v1{path}", method=method, json={"name": "n"})
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [("POST", "/tokens"), ("DELETE", "/tokens/1"), ("DELETE", "/tokens/7")])
@pytest.mark.parametrize("scopes", [(), ("tokens:read", "tokens", "write", "tokens:write2")], ids=["none", "others"])
def test_without_its_scope_nothing_is_done(
    method: str, path: str, scopes: tuple[str, ...], app: Flask, ada: int
) -> None:
    answer = program(app, ada, *scopes).send(method, path, {"name": "n"})
    assert_problem(answer, 403)
    assert "tokens:write" in answer.json["detail"]
    assert len(stored(app)) == 1


# --- making them --------------------------------------------------------------------------------


def test_a_new_token_is_shown_once_and_works(app: Flask, with_tokens: Program) -> None:
    made = with_tokens.send("POST", "/tokens", {"name": "backup", "days": 7})
    assert made.status_code == 201
    secret = made.json["token"]
    assert Program(app.test_client(), secret).get("/me").json["scopes"] == []
    listed = with_tokens.get("/tokens")
    assert secret not in listed.text
    assert [token["name"] for token in listed.json["items"]] == ["backup", "a program"]


def test_only_the_hash_of_a_token_is_stored(app: Flask, with_tokens: Program) -> None:
    secret = with_tokens.send("POST", "/tokens", {"name": "backup"}).json["token"]
    assert secret.startswith("gw_")
    assert stored(app)[1].secret_hash == hashlib.sha256(secret.encode()).hexdigest()
    with app.app_context():
        db.engine.dispose()
    for file in app.extensions["settings"].INSTANCE_PATH.glob("app.db*"):
        assert secret.removeprefix("gw_").encode() not in file.read_bytes()


@pytest.mark.parametrize(("sent", "days"), [({}, 90), ({"days": 1}, 1), ({"days": 365}, 365)])
def test_a_token_lives_as_long_as_it_was_asked_for(
    sent: dict[str, int], days: int, app: Flask, with_tokens: Program
) -> None:
    with_tokens.send("POST", "/tokens", {"name": "backup"} | sent)
    assert abs(stored(app)[1].expires_at - utc_now() - timedelta(days=days)) < timedelta(minutes=1)


def test_a_token_makes_none_that_outlives_it(app: Flask, ada: int) -> None:
    mother = Program(app.test_client(use_cookies=False), add_token(app, ada, "tokens:write", days=7))
    mother.send("POST", "/tokens", {"name": "child", "days": 365})
    first, child = stored(app)
    assert child.expires_at == first.expires_at


def test_a_token_makes_none_that_may_more_than_itself(app: Flask, books: object, with_tokens: Program) -> None:
    assert_problem(with_tokens.send("POST", "/tokens", {"name": "n", "scopes": ["tokens:write", "books:write"]}), 403)
    assert len(stored(app)) == 1


def test_a_token_makes_one_that_may_as_much_as_itself(with_tokens: Program) -> None:
    made = with_tokens.send("POST", "/tokens", {"name": "n", "scopes": ["tokens:write", "tokens:write"]})
    assert (made.status_code, made.json["scopes"]) == (201, ["tokens:write"])


@pytest.mark.parametrize(
    ("values", "field"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": " "}, "name"), ({"name": "a\nb"}, "name"),
     ({"name": "\0"}, "name"), ({"name": "\ud800"}, "name"), ({"name": "a" * 61}, "name"), ({"name": 7}, "name"),
     ({"days": 0}, "days"), ({"days": 366}, "days"), ({"days": -1}, "days"), ({"days": 10**30}, "days"),
     ({"days": "7"}, "days"),
     ({"days": None}, "days"), ({"scopes": "tokens:write"}, "scopes"), ({"scopes": None}, "scopes"),
     ({"scopes": ["a"] * 21}, "scopes"), ({"scopes": [7]}, "scopes.0"), ({"id": 7}, "id"), ({"user_id": 2}, "user_id"),
     ({"token": "gw_mine"}, "token"), ({"secret_hash": "0" * 64}, "secret_hash"),
     ({"created_at": "2000"}, "created_at")],
)  # fmt: skip
def test_a_token_with_a_wrong_value_is_not_made(
    values: dict[str, object], field: str, app: Flask, with_tokens: Program
) -> None:
    sent = values if not values or field == "name" else {"name": "n"} | values
    answer = with_tokens.send("POST", "/tokens", sent)
    assert_problem(answer, 422)
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert len(stored(app)) == 1


# --- those of others ----------------------------------------------------------------------------


def test_the_tokens_of_others_are_not_listed(app: Flask, with_tokens: Program) -> None:
    program(app, add_user(app, "grace"))
    assert [token["id"] for token in with_tokens.get("/tokens").json["items"]] == [1]


def test_the_token_of_somebody_else_is_not_there_to_be_revoked(app: Flask, with_tokens: Program) -> None:
    hers = program(app, add_user(app, "grace"))
    assert_problem(with_tokens.send("DELETE", "/tokens/2"), 404)
    assert hers.get("/me").status_code == 200


@pytest.mark.parametrize("key", ["0", "7", "9223372036854775807", "9223372036854775808", "9" * 30, "-1", "+1", "1.0",
                                 "abc", "\u0661", "%D9%A1", "1%00", "%00", "%ff", "1'--", "%c0%ae"])  # fmt: skip
def test_what_is_no_token_can_not_be_revoked(key: str, with_tokens: Program) -> None:
    assert_problem(with_tokens.send("DELETE", f"/tokens/{key}"), 404)
