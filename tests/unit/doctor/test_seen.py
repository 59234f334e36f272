"""What the application makes of a request is told to who has its secret, for a minute, and to nobody else."""

from collections.abc import Callable

import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer

from app.platform.doctor.page import PROBE_HEADER, PROBE_PATH, PROBE_SALT


def signed(secret: str, salt: str = PROBE_SALT) -> dict[str, str]:
    return {PROBE_HEADER: str(URLSafeTimedSerializer(secret, salt=salt).dumps("doctor"))}


def test_it_is_told_to_who_has_the_secret(make_app: Callable[..., Flask]) -> None:
    app = make_app(TRUSTED_PROXIES=1)
    headers = signed(str(app.secret_key)) | {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    answer = app.test_client().get(PROBE_PATH, headers=headers)
    assert answer.json
    assert (answer.json["client"], answer.json["scheme"]) == ("203.0.113.7", "https")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [{}, {PROBE_HEADER: "x"}, signed("another secret"), "another salt"],
    ids=["none", "junk", "secret", "salt"],
)
def test_for_others_there_is_nothing(headers: dict[str, str] | str, app: Flask) -> None:
    given = signed(str(app.secret_key), "session") if isinstance(headers, str) else headers
    assert app.test_client().get(PROBE_PATH, headers=given).status_code == 404


def test_a_signature_of_two_minutes_ago_counts_no_more(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = signed(str(app.secret_key))
    assert app.test_client().get(PROBE_PATH, headers=headers).status_code == 200
    monkeypatch.setattr("app.platform.doctor.page.PROBE_SECONDS", -1)
    assert app.test_client().get(PROBE_PATH, headers=headers).status_code == 404
