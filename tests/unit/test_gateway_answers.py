"""What every answer carries on its way out, whoever gave it: the page, a probe, a static file, an error."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, abort, render_template_string
from flask.testing import FlaskClient
from werkzeug.test import Client, EnvironBuilder

from app.platform.security import SECURITY_HEADERS
from config import ProductionConfig

Ask = Callable[..., Client]
PATHS = {
    "/": 200,
    "/folder": 308,
    "/nowhere": 404,
    "/static/css/app.css": 200,
    "/static/nowhere.css": 404,
    "/bad": 400,
    "/broken": 500,
    "/" + "a" * 5000: 414,
    "/health": 200,
    "/ready": 200,
    "/metrics": 200,
}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.get("/folder/")
    def folder() -> str:
        return "folder"

    @app.get("/bad")
    def bad() -> None:
        abort(400)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("password=hunter2")

    @app.get("/framed")
    def framed() -> Response:
        return Response("framed", headers={"x-frame-options": "SAMEORIGIN", "Content-Security-Policy": "default-src *"})

    @app.get("/inline")
    def inline() -> str:
        return render_template_string("<script nonce='{{ csp_nonce() }}'></script> {{ csp_nonce() }}")

    return app.test_client()


# --- request id ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), PATHS.items(), ids=lambda value: str(value)[:20])
def test_every_answer_names_its_request_once(path: str, status: int, client: FlaskClient) -> None:
    answer = client.get(path, headers={"X-Request-ID": "my-request.1_A"}, buffered=True)
    assert answer.status_code == status
    assert answer.headers.getlist("X-Request-ID") == ["my-request.1_A"]


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "has space", 'quo"te-id', "ünicode-id", "id\x1b[31m-red", "new\nline-id"]
)
def test_a_request_id_that_could_do_harm_is_replaced(given: str, ask: Ask) -> None:
    kept = ask().get("/", environ_overrides={"HTTP_X_REQUEST_ID": given}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", kept)


def test_two_requests_have_two_ids(ask: Ask) -> None:
    client = ask()
    assert client.get("/").headers["X-Request-ID"] != client.get("/").headers["X-Request-ID"]


# --- security headers ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:20])
def test_every_answer_has_each_security_header_once(path: str, client: FlaskClient) -> None:
    headers = client.get(path, buffered=True).headers
    for name, value in SECURITY_HEADERS:
        assert headers.getlist(name) == [value]


@pytest.mark.parametrize(
    "path",
    [path for path, status in PATHS.items() if path not in {"/health", "/ready", "/metrics"}],
    ids=lambda path: path[:20],
)
def test_every_page_has_one_content_policy(path: str, client: FlaskClient) -> None:
    (policy,) = client.get(path, buffered=True).headers.getlist("Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "nonce" not in policy


def test_a_views_own_header_stands_alone(client: FlaskClient) -> None:
    headers = client.get("/framed").headers
    assert headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]
    assert headers.getlist("Content-Security-Policy") == ["default-src *"]


def test_a_nonce_is_made_per_answer_and_only_where_a_page_asks(client: FlaskClient) -> None:
    nonces = []
    for _ in range(2):
        answer = client.get("/inline")
        nonces.append(answer.text.split()[-1])
        policy = answer.headers["Content-Security-Policy"]
        assert answer.text.startswith(f"<script nonce='{nonces[-1]}'>")
        assert f"script-src 'self' 'nonce-{nonces[-1]}'" in policy
        assert f"style-src 'self' 'nonce-{nonces[-1]}'" in policy
        assert policy.count("nonce") == 2
    assert len(set(nonces)) == 2


@pytest.mark.parametrize(("scheme", "expected"), [("http", []), ("https", ["max-age=31536000"])])
def test_https_is_insisted_on_only_over_https(scheme: str, expected: list[str], ask: Ask) -> None:
    answer = ask(TRUSTED_PROXIES=1).get("/", headers={"X-Forwarded-Proto": scheme})
    assert answer.headers.getlist("Strict-Transport-Security") == expected


# --- what goes wrong below ----------------------------------------------------------------------


@pytest.mark.parametrize("already_started", [False, True])
@pytest.mark.parametrize(
    ("accept", "kind"), [("text/html", "text/html; charset=utf-8"), ("application/json", "application/problem+json")]
)
@pytest.mark.usefixtures("dotenv")
def test_an_exception_past_flask_is_a_500_with_the_request_id(
    already_started: bool, accept: str, kind: str, ask: Ask
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if already_started:
            start_response("200 OK", [("Content-Type", "text/plain")])
        raise RuntimeError("hunter2")

    gateway = ask(application, ProductionConfig).application
    answers: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        assert not answers or exc_info, "PEP 3333: a second call needs exc_info"
        answers.append((status, dict(headers)))

    body = b"".join(gateway(EnvironBuilder(headers={"Accept": accept}).get_environ(), start_response)).decode()
    status, headers = answers[-1]
    assert (status, headers["Content-Type"]) == ("500 Internal Server Error", kind)
    assert headers["X-Request-ID"] in body
    assert "hunter2" not in body
    assert int(headers["Content-Length"]) == len(body)


def test_an_exception_past_flask_is_shown_to_a_developer(ask: Ask) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        raise RuntimeError("hunter2")

    with pytest.raises(RuntimeError, match="hunter2"):
        ask(application).get("/")
