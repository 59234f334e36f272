"""Programs that use the API with a token, for the tests of all features that have one."""

from datetime import timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.auth.models import User
from app.extensions import db
from app.platform.database import write_unit
from app.tokens import new_token


class Program:
    """Sends JSON and its token; keeps no cookies."""

    def __init__(self, client: FlaskClient, secret: str) -> None:
        self.client = client
        self.authorization = {"Authorization": f"Bearer {secret}"}

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """`If_Match='"1"'` is the header If-Match."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {} if body is None else {"json": body}
        return self.client.open(f"/api/v1{path}", method=method, headers=self.authorization | named, **sent)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.send("GET", path, **headers)


def add_token(app: Flask, user_id: int, *scopes: str, days: int = 366) -> str:
    """The secret of a new token; with `days=0` one that has just expired."""
    with app.app_context(), write_unit():
        user = db.session.get_one(User, user_id)
        token, secret = new_token(user, "a program", list(scopes), days)
        token.expires_at -= timedelta(seconds=1)
        db.session.add(token)
    return secret


def program(app: Flask, user_id: int, *scopes: str) -> Program:
    return Program(app.test_client(use_cookies=False), add_token(app, user_id, *scopes))


def assert_problem(answer: TestResponse, status: int) -> None:
    """It is this error, told as RFC 9457 wants it, under the id of the request, and without anything of our insides."""
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.text
    assert answer.json is not None
    told = answer.json["status"], answer.json["request_id"], bool(answer.json["title"] and answer.json["detail"])
    assert told == (status, answer.headers["X-Request-ID"], True)
    assert not any(inside in answer.text for inside in ("Traceback", 'File "', "sqlalchemy", "pydantic"))
