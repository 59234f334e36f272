"""Maintenance: visitors get 503 and are told when to come back, probes are answered, admins get in and see it."""

import json
import re
from collections.abc import Callable

import pytest
from flask import Flask, request

from app.extras.live_settings.live import Live
from tests.features.conftest import Visitor
from tests.features.live_settings.conftest import Write

ON = '[maintenance]\non = true\ntext = "Back at <five>.\\n\\nPromised."\nretry_after = 90\n'


@pytest.fixture(autouse=True)
def _in_maintenance(write: Write) -> None:
    write(ON)


def test_visitors_read_why_and_when_to_come_back(visitor: Visitor) -> None:
    answer = visitor.get("/about", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "90")
    assert answer.headers["Cache-Control"] == "no-store"
    assert '<p class="lede">Back at &lt;five&gt;.</p>' in answer.text
    assert '<p class="lede">Promised.</p>' in answer.text
    assert int(answer.headers["Content-Length"]) == len(answer.data)


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/api/v1/anything", "*/*"), ("/about", "application/json"), ("/about", "application/problem+json")],
)
def test_programs_get_a_problem_document(path: str, accept: str, visitor: Visitor) -> None:
    answer = visitor.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "90")
    assert answer.content_type == "application/problem+json"
    problem = json.loads(answer.data)
    assert (problem["status"], problem["detail"]) == (503, "Back at <five>.\n\nPromised.")
    assert problem["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_it_is_so_for_every_method(method: str, visitor: Visitor) -> None:
    answer = visitor.client.open("/nothing-here", method=method, data=b"x" * 1000)
    assert answer.status_code == 503
    assert bool(answer.data) == (method != "HEAD")


def test_the_headers_for_safety_are_there(visitor: Visitor) -> None:
    headers = visitor.get("/about").headers
    assert {"Content-Security-Policy", "X-Content-Type-Options", "X-Request-ID"} <= set(headers.keys())


@pytest.mark.parametrize("path", ["/health", "/up", "/ready", "/metrics"])
def test_probes_are_answered_as_ever(path: str, visitor: Visitor) -> None:
    assert visitor.get(path).status_code == 200


def test_the_page_has_its_style_sheets(visitor: Visitor) -> None:
    sheets = re.findall(r'href="([^"]+\.(?:css|svg))"', visitor.get("/").text)
    assert len(sheets) == 3
    for sheet in sheets:
        with visitor.get(sheet) as answer:
            assert answer.status_code == 200


def test_below_a_prefix_the_style_sheets_are_there_too(app: Flask) -> None:
    page = app.test_client().get("/about", environ_overrides={"SCRIPT_NAME": "/shop"}).text
    assert page.count('href="/shop/static/') == 3
    assert 'href="/static/' in app.test_client().get("/about").text


def test_what_is_kept_open_is_open(app: Flask) -> None:
    app.extensions.setdefault("open_in_maintenance", []).append("/about")
    paths = app.extensions["open_in_maintenance"]
    assert {path: app.test_client().get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_who_looks_at_a_page_that_is_open_is_told(app: Flask) -> None:
    app.extensions.setdefault("open_in_maintenance", []).append("/about")
    page = app.test_client().get("/about").text
    assert "In maintenance:" in page
    assert "/admin/live-settings/" not in page


def test_an_admin_gets_in_and_is_told_where_to_end_it(admin: Visitor) -> None:
    answer = admin.get("/about")
    assert (answer.status_code, "In maintenance:" in answer.text) == (200, True)
    assert 'href="/admin/live-settings/"' in answer.text


def test_others_with_a_cookie_do_not(app: Flask, admin: Visitor) -> None:
    client = app.test_client()
    client.set_cookie("who", "ada")
    assert client.get("/about").status_code == 503


def test_while_the_database_is_away_nobody_gets_in_and_nothing_breaks(app: Flask, admin: Visitor) -> None:
    def fail() -> bool:
        assert request.path == "/about"
        raise RuntimeError("no database")

    app.extensions["is_admin"] = fail
    assert admin.get("/about").status_code == 503


def test_without_a_feature_that_knows_admins_nobody_gets_in(app: Flask, admin: Visitor) -> None:
    app.extensions.pop("is_admin")
    assert admin.get("/about").status_code == 503


def test_a_page_of_one_visitor_is_not_shown_to_another(admin: Visitor, visitor: Visitor, app: Flask) -> None:
    app.extensions["is_admin"] = bool
    assert admin.get("/about").text == visitor.get("/about").text


def test_another_text_is_another_page(visitor: Visitor, write: Write) -> None:
    assert "Promised." in visitor.get("/").text
    write('[maintenance]\non = true\ntext = "Later."\n')
    assert "Later." in visitor.get("/").text


def test_when_it_is_over_all_is_as_before(visitor: Visitor, write: Write) -> None:
    write("[maintenance]\non = false\n")
    answer = visitor.get("/about")
    assert (answer.status_code, "In maintenance" in answer.text) == (200, False)


def test_it_costs_no_request_a_look_at_the_database(app: Flask, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    app.extensions["is_admin"] = lambda: asked.append("database") or False
    dispatched: list[str] = []
    dispatch: Callable[[], object] = app.full_dispatch_request
    monkeypatch.setattr(app, "full_dispatch_request", lambda *_: dispatched.append("Flask") or dispatch())
    assert app.test_client().get("/about").status_code == 503
    assert asked + dispatched == []
