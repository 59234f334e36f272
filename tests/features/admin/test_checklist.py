"""The page with the last result of `flask doctor`: for admins, whatever the file holds."""

import json
from collections.abc import Callable

import pytest
from flask import Flask

from tests.features.auth.people import member
from tests.features.conftest import Visitor


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(LOG_LEVEL="DEBUG", APP_NAME="Shop")


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return member(app, "root", is_admin=True)


def test_before_anybody_has_looked_it_says_how(admin: Visitor) -> None:
    page = admin.get("/admin/doctor/")
    assert page.status_code == 200
    assert "flask --app wsgi doctor" in page.text


def test_the_last_result_is_shown_with_what_is_to_be_done_first(app: Flask, admin: Visitor) -> None:
    app.test_cli_runner().invoke(args=["doctor"])
    text = admin.get("/admin/doctor/").text
    assert text.index("log.level") < text.index("db.answers")
    assert "LOG_LEVEL=INFO" in text
    assert "Warnings (" in text


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"findings": 1}', "\0", '{"findings": [], "time": "x", "version": ""}']
)
def test_a_result_that_was_spoilt_is_no_error(content: str, app: Flask, admin: Visitor) -> None:
    (app.extensions["settings"].INSTANCE_PATH / "doctor.json").write_text(content)
    page = admin.get("/admin/doctor/")
    assert page.status_code == 200
    assert "can not be read" in page.text


def test_what_was_seen_is_no_markup(app: Flask, admin: Visitor) -> None:
    finding = {"id": "a.b", "status": "FAIL", "question": "?", "seen": "<script>", "why": "", "fix": "<b>", "docs": ""}
    content = {"findings": [finding], "time": "2026-01-01T00:00:00+00:00", "version": "1", "url": ""}
    (app.extensions["settings"].INSTANCE_PATH / "doctor.json").write_text(json.dumps(content))
    text = admin.get("/admin/doctor/").text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
