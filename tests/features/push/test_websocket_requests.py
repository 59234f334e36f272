"""Requests for a WebSocket that never become one; those that do are in tests/servers/push."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

import serving

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def ask(client: FlaskClient, **headers: str) -> tuple[int, str | None, str | None]:
    """As on a worker of Gunicorn's."""
    changed = HANDSHAKE | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.get("/ws?channel=a", headers=changed, environ_overrides={"gunicorn.socket": None})
    return answer.status_code, answer.headers.get("Sec-WebSocket-Version"), answer.headers.get("Retry-After")


def test_a_server_that_keeps_nothing_open_says_501(client: FlaskClient) -> None:
    assert ask(client)[0] == 501


def test_where_there_is_no_room_the_answer_is_503(app: Flask, client: FlaskClient) -> None:
    serving.begin(app, None, is_ending=lambda: True, streams=1)
    assert ask(client) == (503, None, "30")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:81",
        "https://localhost",
        "null",
        "",
        "http://[",
        "http://localhost:99999",
    ],
)
def test_a_page_of_another_site_gets_403(client: FlaskClient, origin: str) -> None:
    assert ask(client, Origin=origin)[0] == 403


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:80"])
def test_our_own_page_is_let_in(client: FlaskClient, origin: str) -> None:
    assert ask(client, Origin=origin)[0] == 501


def test_an_origin_that_is_configured_is_let_in(make_app) -> None:  # type: ignore[no-untyped-def]
    client = make_app(CORS_ORIGINS=("https://friend.example",)).test_client()
    assert ask(client, Origin="https://friend.example")[0] == 501
    assert ask(client, Origin="https://foe.example")[0] == 403


def test_another_version_is_told_ours(client: FlaskClient) -> None:
    assert ask(client, Sec_WebSocket_Version="8")[:2] == (426, "13")


@pytest.mark.parametrize("key", ["", "short", "AAAA", 23 * "A" + "=", "ä"])
def test_a_malformed_key_gets_400(client: FlaskClient, key: str) -> None:
    assert ask(client, Sec_WebSocket_Key=key)[0] == 400


def test_a_plain_request_gets_400(client: FlaskClient) -> None:
    assert client.get("/ws?channel=a").status_code == 400


def test_a_server_that_keeps_nothing_open_lets_pages_ask(client: FlaskClient) -> None:
    answer = client.get("/events?channel=a")
    assert (answer.status_code, answer.data, answer.headers.get("Retry-After")) == (204, b"", None)
    assert client.get("/events/since?channel=a").get_json()["by"] == "asking"


@pytest.mark.parametrize("query", ["", "channel=a%20b", "channel=a&after=x"])
def test_a_malformed_question_gets_400(client: FlaskClient, query: str) -> None:
    assert client.get(f"/events?{query}").status_code == 400
