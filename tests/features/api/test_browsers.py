"""The pages of this site may use the API with the session of their visitor; the pages of other sites may not."""

import re

import pytest
from flask import Blueprint, Flask
from werkzeug.test import TestResponse

from app.api import endpoint
from tests.features.api.programs import assert_problem
from tests.features.auth.people import add_user, log_in, member
from tests.features.conftest import Visitor

EVIL = [
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.test"},
    {"Origin": "http://evil.test/localhost"},
    {"Origin": "http://localhost:8081"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
]


@pytest.fixture
def ada_here(app: Flask) -> Visitor:
    """Ada in her browser, logged in."""
    return member(app)


def hidden_token(visitor: Visitor) -> str:
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', visitor.get("/").text)
    assert found
    return found[1]


def make(visitor: Visitor, token: str | None = None, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = named | ({"X-CSRFToken": token} if token else {})
    return visitor.client.post("/api/v1/tokens", json={"name": "n"}, headers=sent)


def tokens(visitor: Visitor) -> int:
    return len(visitor.get("/api/v1/tokens").json["items"])


@pytest.mark.parametrize("headers", [{}, *EVIL])
def test_reading_needs_no_token(headers: dict[str, str], ada_here: Visitor) -> None:
    answer = ada_here.get("/api/v1/me", headers=headers)
    assert answer.json == {"id": 1, "name": "ada", "is_admin": False, "scopes": None}


def test_no_other_site_may_read_the_answers(ada_here: Visitor) -> None:
    answer = ada_here.get("/api/v1/me", headers={"Origin": "https://evil.test"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_a_page_of_ours_may_write_with_the_token_of_its_form(headers: dict[str, str], ada_here: Visitor) -> None:
    assert make(ada_here, hidden_token(ada_here), **headers).status_code == 201


@pytest.mark.parametrize("token", [None, "", "wrong", "IjEi.YQ.YQ"])
def test_without_the_token_of_its_form_nothing_is_written(token: str | None, ada_here: Visitor) -> None:
    assert_problem(make(ada_here, token), 400)
    assert tokens(ada_here) == 0


def test_a_method_in_lower_case_needs_the_token_too(ada_here: Visitor) -> None:
    lower = {"REQUEST_METHOD": "post"}
    assert_problem(ada_here.client.post("/api/v1/tokens", json={"name": "n"}, environ_overrides=lower), 400)


def test_the_token_of_the_session_of_somebody_else_is_none(app: Flask, ada_here: Visitor) -> None:
    assert_problem(make(ada_here, hidden_token(member(app, "grace"))), 400)


def test_the_token_from_before_the_log_in_is_none(app: Flask) -> None:
    add_user(app)
    visitor = Visitor(app.test_client())
    visitor.get("/auth/login")
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', visitor.get("/auth/login").text)
    assert found
    log_in(visitor, "ada")
    assert_problem(make(visitor, found[1]), 400)


@pytest.mark.parametrize("headers", EVIL)
def test_a_page_of_another_site_may_not_write_even_with_the_token(headers: dict[str, str], ada_here: Visitor) -> None:
    assert_problem(make(ada_here, hidden_token(ada_here), **headers), 403)
    assert tokens(ada_here) == 0


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_what_a_form_of_another_site_can_send_is_not_read(content_type: str, ada_here: Visitor) -> None:
    headers = {"X-CSRFToken": hidden_token(ada_here)}
    answer = ada_here.client.post("/api/v1/tokens", data='{"name": "n"}', content_type=content_type, headers=headers)
    assert_problem(answer, 415)


def test_a_token_in_the_body_does_not_count(ada_here: Visitor) -> None:
    body = {"name": "n", "csrf_token": hidden_token(ada_here)}
    assert_problem(ada_here.client.post("/api/v1/tokens", json=body), 400)


def test_after_the_log_out_the_session_opens_nothing(ada_here: Visitor) -> None:
    token = hidden_token(ada_here)
    ada_here.send("/auth/logout", form_at="/")
    assert_problem(ada_here.get("/api/v1/me"), 401)
    assert_problem(make(ada_here, token), 401)


def test_a_route_beside_an_endpoint_asks_for_the_token_too(app: Flask, books: object) -> None:
    blueprint = Blueprint("beside", __name__)

    @endpoint(blueprint, "GET", "/beside")
    def beside() -> None:
        """Something else."""

    blueprint.add_url_rule("/pay", "pay", lambda: "paid", methods=["POST"])
    app.register_blueprint(blueprint, url_prefix="/api/v1")
    assert app.test_client().post("/api/v1/pay").status_code == 400
