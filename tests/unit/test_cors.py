"""What a page of another origin may do: what CORS_ORIGINS says, exactly, and nothing without it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import Client, EnvironBuilder

from config import ProductionConfig
from tests.unit.conftest import Echo

Ask = Callable[..., Client]
Refusal = Callable[..., tuple[int, Headers]]
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


def crash(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("outside Flask's error handling")


REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "a broken host": (400, {"HTTP_HOST": "a b"}),
    "a host that is not served": (400, {"HTTP_HOST": "evil.test"}),
    "a target that is no path": (400, {"PATH_INFO": "*"}),
    "a length and chunks": (400, {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "3"}),
    "an unknown encoding": (501, {"HTTP_TRANSFER_ENCODING": "gzip"}),
    "a path too long": (414, {"PATH_INFO": "/" + 4094 * "x"}),
    "a query too long": (414, {"QUERY_STRING": 4094 * "x"}),
    "an exception": (500, {}),
}


@pytest.fixture
def refusal(ask: Ask, dotenv: Path) -> Refusal:
    """Status and headers of a refused request; Werkzeug's client would mend such requests, and raise the exception."""

    def send(case: str, **changes: str) -> tuple[int, Headers]:
        answers: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            answers.append((int(status[:3]), Headers(headers)))

        gateway = ask(crash, ProductionConfig, CORS_ORIGINS=(FRIEND,), TRUSTED_HOSTS=("localhost",)).application
        list(gateway(EnvironBuilder().get_environ() | REFUSED[case][1] | changes, start_response))
        return answers[-1]

    return send


@pytest.mark.parametrize("path", ["/", "/api/v1/posts"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_at_the_door_can_be_read_by_a_friend(case: str, path: str, refusal: Refusal) -> None:
    changes = {} if "PATH_INFO" in REFUSED[case][1] else {"PATH_INFO": path}
    status, headers = refusal(case, HTTP_ORIGIN=FRIEND, **changes)
    assert status == REFUSED[case][0]
    assert headers.getlist("Access-Control-Allow-Origin") == [FRIEND]
    assert headers.getlist("Access-Control-Allow-Credentials") == ["true"]
    assert "X-Request-ID" in headers["Access-Control-Expose-Headers"]
    assert headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_tells_nobody_else_anything_but_to_keep_it_apart(case: str, refusal: Refusal) -> None:
    status, headers = refusal(case, HTTP_ORIGIN="https://evil.example")
    assert status == REFUSED[case][0]
    assert not [name for name, _ in headers if name.startswith("Access-Control")]
    assert headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize("case", [case for case in REFUSED if case != "an exception"])
def test_a_preflight_that_is_refused_allows_no_method(case: str, refusal: Refusal) -> None:
    preflight = {"REQUEST_METHOD": "OPTIONS", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT", "HTTP_ORIGIN": FRIEND}
    status, headers = refusal(case, **preflight)
    assert status == REFUSED[case][0]  # browsers go on only after a 2xx
    assert "Access-Control-Allow-Methods" not in headers


@pytest.mark.parametrize("origin", [FRIEND, "https://evil.example", "*", "null", None])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_never_is_everybody_let_in(origin: str | None, method: str, ask: Ask) -> None:
    """A browser takes * with cookies for nobody, and without them for everybody: neither is meant."""
    asking = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "Authorization"}
    headers = asking | ({"Origin": origin} if origin else {})
    for client in (ask(CORS_ORIGINS=(FRIEND,)), ask(CORS_ORIGINS=(FRIEND,), TRUSTED_HOSTS=("other.example",)), ask()):
        answer = client.open("/", method=method, headers=headers)
        assert not [name for name, value in answer.headers if name.startswith("Access-Control") and "*" in value]


def test_what_a_view_varies_by_stays(ask: Ask) -> None:
    def view(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Vary", "Authorization, Cookie"), ("Content-Length", "0")])
        return []

    answer = ask(view, CORS_ORIGINS=(FRIEND,)).get("/", headers={"Origin": FRIEND})
    assert sorted(", ".join(answer.headers.getlist("Vary")).split(", ")) == ["Authorization", "Cookie", "Origin"]
