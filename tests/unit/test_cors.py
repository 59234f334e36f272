"""What a page of another origin may do: what CORS_ORIGINS says, exactly, and nothing without it."""

from collections.abc import Callable

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from werkzeug.test import Client

from tests.unit.conftest import Echo

Ask = Callable[..., Client]
FRIEND = "https://app.example"
ASKING = {"Origin": FRIEND, "Access-Control-Request-Method": "PUT"}


def test_a_friend_may_read_the_answer_with_its_cookies(ask: Ask) -> None:
    headers = ask(CORS_ORIGINS=(FRIEND,)).get("/", headers={"Origin": FRIEND}).headers
    assert headers["Access-Control-Allow-Origin"] == FRIEND
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Request-ID" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"


def test_a_preflight_is_answered_without_the_application(ask: Ask, echo: Echo) -> None:
    answer = ask(CORS_ORIGINS=("https://b.example", FRIEND)).options("/anything", headers=ASKING)
    assert (answer.status_code, answer.data, echo.calls) == (204, b"", 0)
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "X-CSRFToken" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://app.example",
        "https://app.example.evil.test",
        "https://app.example:8443",
        "https://APP.example",
        "https://app.example/",
        "",
        None,
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_nobody_else_is_allowed_and_caches_are_told_to_differ(origin: str | None, method: str, ask: Ask) -> None:
    headers = {"Origin": origin} if origin is not None else {}
    client = ask(CORS_ORIGINS=(FRIEND,))
    answer = client.open("/", method=method, headers=headers | {"Access-Control-Request-Method": "GET"})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert answer.headers["Vary"] == "Origin"


def test_without_the_setting_nothing_is_said_and_options_reaches_the_application(ask: Ask, echo: Echo) -> None:
    answer = ask().options("/", headers=ASKING)
    assert echo.calls == 1
    assert not {"Vary", "Access-Control-Allow-Origin"} & set(answer.headers.keys())


def test_a_plain_options_request_reaches_the_application(ask: Ask, echo: Echo) -> None:
    ask(CORS_ORIGINS=(FRIEND,)).options("/", headers={"Origin": FRIEND})
    assert echo.calls == 1


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    app = make_app(CORS_ORIGINS=(FRIEND,))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/folder/", "folder", lambda: "folder")
    app.add_url_rule("/bad", "bad", lambda: abort(400))
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)
    return app.test_client()


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/folder", 308), ("/nowhere", 404), ("/bad", 400), ("/broken", 500)]
)
def test_errors_can_be_read_by_a_friend_too(path: str, status: int, client: FlaskClient) -> None:
    answer = client.get(path, headers={"Origin": FRIEND})
    assert answer.status_code == status
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [FRIEND]
