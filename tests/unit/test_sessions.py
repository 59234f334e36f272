"""The secret that is made once, and the cookie that it signs."""

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from app.platform.sessions import persistent_secret
from config import ConfigError

HTTPS = {"X-Forwarded-Proto": "https"}


def with_counter(app: Flask) -> FlaskClient:
    @app.get("/count")
    def count() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    return app.test_client()


# --- the secret ---------------------------------------------------------------------------------


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    secret = persistent_secret(tmp_path)
    assert len(secret) >= 48
    assert persistent_secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret_key"]


def test_servers_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        with ThreadPoolExecutor(8) as pool:
            secrets = set(pool.map(persistent_secret, [folder] * 8))
        assert secrets == {(folder / "secret_key").read_text()}
        assert os.listdir(folder) == ["secret_key"]


def test_the_secret_is_made_on_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert persistent_secret(tmp_path) == (tmp_path / "secret_key").read_text()
    assert os.listdir(tmp_path) == ["secret_key"]


def test_a_folder_that_can_not_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone/secret_key can not be used .*\. Set SECRET_KEY, or INSTANCE_PATH"):
        persistent_secret(tmp_path / "gone")


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("\n")
    with pytest.raises(ConfigError, match=r"secret_key is empty\. Delete it"):
        persistent_secret(tmp_path)


def test_a_session_survives_a_restart_without_any_setting(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    first, second = make_app(SECRET_KEY=None), make_app(SECRET_KEY=None)
    assert first.secret_key != second.secret_key  # two installations
    assert first.secret_key == (tmp_path / "instance-0/secret_key").read_text()


# --- the cookie ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("My Shop!", {}, ("my-shop", "/", False)),
        ("My Shop!", HTTPS, ("__Host-my-shop", "/", True)),
        ("Groundwork", {"X-Forwarded-Prefix": "/shop"}, ("groundwork", "/shop", False)),
        ("Groundwork", HTTPS | {"X-Forwarded-Prefix": "/shop"}, ("__Secure-groundwork", "/shop", True)),
        ("名前", {}, ("app-7ec262", "/", False)),
    ],
)
def test_the_cookies_name_and_flags_follow_scheme_and_prefix(
    name: str, headers: dict[str, str], expected: tuple[str, str, bool], make_app: Callable[..., Flask]
) -> None:
    client = with_counter(make_app(APP_NAME=name, TRUSTED_PROXIES=1))
    cookie = client.get("/count", headers=headers).headers["Set-Cookie"]
    parts = cookie.split("; ")
    assert (parts[0].partition("=")[0], parts[-2].removeprefix("Path="), "Secure" in parts) == expected
    assert {"HttpOnly", "SameSite=Lax"} <= set(parts)
    assert "Domain" not in cookie


@pytest.fixture
def counting(app: Flask) -> FlaskClient:
    return with_counter(app)


def test_a_visitor_is_remembered(counting: FlaskClient) -> None:
    assert [counting.get("/count").text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize("path", ["/plain", "/", "/nowhere", "/health", "/static/css/app.css"])
def test_who_needs_no_session_gets_no_cookie_and_may_be_cached(path: str, counting: FlaskClient) -> None:
    headers = counting.get(path, buffered=True).headers
    assert "Set-Cookie" not in headers
    assert "Cookie" not in headers.get("Vary", "") or path in {"/", "/nowhere"}  # flash messages look there


def test_a_view_that_only_reads_the_session_may_not_be_cached_for_all(counting: FlaskClient) -> None:
    counting.get("/count")
    assert "Cookie" in counting.get("/count").headers["Vary"]


def tampered(cookie: str) -> Iterator[str]:
    payload, time, signature = cookie.split(".")
    flipped = "A" if signature[3] != "A" else "B"
    yield f"{payload}.{time}.{signature[:3]}{flipped}{signature[4:]}"
    yield f"{payload[:-2]}AA.{time}.{signature}"
    yield f"{payload}.{time}."
    yield payload
    yield "x" * 8000
    yield "\xff\xfe"
    yield ""


def test_a_tampered_cookie_is_a_new_visitor(counting: FlaskClient) -> None:
    good = counting.get("/count").headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    fresh = counting.application.test_client(use_cookies=False)
    assert fresh.get("/count", headers={"Cookie": f"groundwork={good}"}).text == "2"
    for cookie in tampered(good):
        answer = fresh.get("/count", environ_overrides={"HTTP_COOKIE": f"groundwork={cookie}"})
        assert (answer.status_code, answer.text) == (200, "1"), cookie


def test_a_changed_secret_is_honoured_and_its_fallback_logs_nobody_out(app: Flask, counting: FlaskClient) -> None:
    counting.get("/count")
    app.config["SECRET_KEY_FALLBACKS"] = [app.secret_key]
    app.secret_key = "a new one"
    assert counting.get("/count").text == "2"
    app.config["SECRET_KEY_FALLBACKS"] = None
    assert counting.get("/count").text == "3"  # signed with the new one by now
    app.secret_key = "another"
    assert counting.get("/count").text == "1"


def test_the_signer_is_made_once_for_many_requests(app: Flask) -> None:
    interface = app.session_interface
    assert interface.get_signing_serializer(app) is interface.get_signing_serializer(app)
