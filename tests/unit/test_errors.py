"""What somebody sees when something goes wrong: a page or problem+json, the request id, and never the inside."""

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

import jinja2
import pytest
from flask import Flask, Response, abort, redirect
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.extensions import db
from app.platform.errors import AppError, bare_error, error_response, title
from tests.unit.notes import Note, make_table

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
INSIDE = "hunter2 in /srv/app/secret.py"


@pytest.fixture
def failing(make_app: Callable[..., Flask], capfd: pytest.CaptureFixture[str]) -> Callable[..., FlaskClient]:
    """`failing(exception)`: a client for which `/fails` and `/api/fails` raise it. After capfd, to read the log."""

    def make(fault: BaseException | Callable[[], Any]) -> FlaskClient:
        app = make_app()
        app.config["PROPAGATE_EXCEPTIONS"] = False

        def fails() -> Any:
            if callable(fault):
                return fault()
            raise fault

        app.add_url_rule("/fails", "fails", fails)
        app.add_url_rule("/api/fails", "api_fails", fails)
        return app.test_client()

    return make


STATUSES = [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 501, 503]


@pytest.mark.parametrize("status", STATUSES)
def test_people_get_a_page_that_names_the_request(status: int, failing: Callable[..., FlaskClient]) -> None:
    answer = failing(lambda: abort(status)).get("/fails", headers=HTML)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert f"Error {status}" in answer.text
    assert title(status) in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Back to" in answer.text or "To the home page" in answer.text


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("path", "headers"), [("/fails", JSON), ("/api/fails", HTML), ("/api/fails", {})])
def test_programs_get_a_problem_document(
    status: int, path: str, headers: dict[str, str], failing: Callable[..., FlaskClient]
) -> None:
    answer = failing(lambda: abort(status)).get(path, headers=headers)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    problem = answer.get_json()
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", title(status), status)
    assert problem["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(("status", "seconds"), [(429, "60"), (503, "5"), (500, None)])
def test_who_may_come_back_is_told_when(status: int, seconds: str | None, failing: Callable[..., FlaskClient]) -> None:
    assert failing(lambda: abort(status)).get("/fails").headers.get("Retry-After") == seconds


def test_an_error_made_by_a_feature_keeps_its_words_and_fields(failing: Callable[..., FlaskClient]) -> None:
    client = failing(AppError("The <b>title</b> is taken.", 409, field="title"))
    problem = client.get("/fails", headers=JSON).get_json()
    assert (problem["status"], problem["detail"], problem["field"]) == (409, "The <b>title</b> is taken.", "title")
    assert "The &lt;b&gt;title&lt;/b&gt; is taken." in client.get("/fails", headers=HTML).text


def test_no_field_of_a_feature_replaces_the_request_id(failing: Callable[..., FlaskClient]) -> None:
    answer = failing(AppError("no", request_id="mine")).get("/api/fails")
    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"]


def test_a_wrong_method_says_which_are_right(failing: Callable[..., FlaskClient]) -> None:
    answer = failing(ValueError()).post("/fails")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_a_feature_may_say_itself_when_to_come_back(failing: Callable[..., FlaskClient]) -> None:
    answer = failing(lambda: error_response(503, headers={"Retry-After": "7200"})).get("/fails")
    assert answer.headers.getlist("Retry-After") == ["7200"]


@pytest.mark.parametrize("made", [redirect("/notes/"), Response("own words", 418)])
def test_an_answer_that_somebody_made_whole_is_left_alone(made: Response, failing: Callable[..., FlaskClient]) -> None:
    answer = failing(lambda: abort(made)).get("/fails")
    assert (answer.status_code, answer.data) == (made.status_code, made.data)


def test_an_unknown_status_still_has_a_title() -> None:
    assert title(599) == "Error"


@pytest.mark.parametrize("headers", [HTML, JSON])
def test_an_unexpected_exception_shows_nothing_of_the_inside(
    headers: dict[str, str], failing: Callable[..., FlaskClient], capfd: pytest.CaptureFixture[str]
) -> None:
    answer = failing(ZeroDivisionError(INSIDE)).get("/fails", headers=headers)
    assert answer.status_code == 500
    assert not any(word in answer.text for word in ("hunter2", "ZeroDivisionError", "Traceback", "secret.py"))
    assert "ZeroDivisionError: hunter2" in capfd.readouterr().err


# --- the database -------------------------------------------------------------------------------


def operational(message: str) -> OperationalError:
    return OperationalError("SELECT secret", {"token": INSIDE}, sqlite3.OperationalError(message))


@pytest.mark.parametrize(
    ("error", "status", "logged"),
    [
        (operational("database is locked"), 503, "the database did not answer: database is locked"),
        (operational("no such table: notes"), 503, "no such table"),
        (PoolTimeout("QueuePool limit of size 16 reached"), 503, "QueuePool limit"),
        (operational("database or disk is full"), 507, "no room left"),
        (operational('could not extend file "base/1": No space left on device'), 507, "no room left"),
        (IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")), 500, "Traceback"),
    ],
)
@pytest.mark.parametrize("headers", [HTML, JSON])
def test_a_database_error_has_the_status_that_helps(
    error: Exception,
    status: int,
    logged: str,
    headers: dict[str, str],
    failing: Callable[..., FlaskClient],
    capfd: pytest.CaptureFixture[str],
) -> None:
    answer = failing(error).get("/fails", headers=headers)
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"] in answer.text
    assert not any(word in answer.text for word in ("hunter2", "SELECT", "UNIQUE", "QueuePool", "notes:"))
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert logged in capfd.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 500)])
def test_a_disk_without_room_is_told_from_other_faults(
    number: int, status: int, failing: Callable[..., FlaskClient]
) -> None:
    answer = failing(OSError(number, INSIDE)).get("/fails", headers=HTML)
    assert (answer.status_code, INSIDE in answer.text) == (status, False)


def test_after_a_database_error_the_error_page_can_read_the_database(failing: Callable[..., FlaskClient]) -> None:
    def half_a_note() -> None:
        make_table()
        db.session.add(Note(title=None))
        db.session.flush()

    client = failing(half_a_note)
    client.application.context_processor(lambda: {"navigation": [], "one": db.session.scalar(text("SELECT 1"))})
    answer = client.get("/fails")
    assert answer.status_code == 500
    assert '<p class="code">Error 500</p>' in answer.text, "the whole page, not the plain one"


def test_a_table_that_is_not_there_yet_is_told_as_a_matter_of_time(failing: Callable[..., FlaskClient]) -> None:
    assert failing(lambda: db.session.execute(text("SELECT * FROM nowhere"))).get("/fails").status_code == 503


# --- when the error page itself fails -----------------------------------------------------------


def test_a_broken_layout_still_gives_a_plain_page(
    failing: Callable[..., FlaskClient], capfd: pytest.CaptureFixture[str]
) -> None:
    client = failing(AppError("It is <gone>.", 404))
    broken = {"layout.html": "{{ 1 / 0 }}{% block content %}{% endblock %}"}
    app = client.application
    app.jinja_env.loader = jinja2.ChoiceLoader([jinja2.DictLoader(broken), app.jinja_env.loader])
    answer = client.get("/fails", headers=HTML)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>404 Not Found</h1><p>It is &lt;gone&gt;.</p>" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "the error page could not be rendered" in capfd.readouterr().err


@pytest.mark.parametrize("headers", [HTML, JSON])
def test_an_error_before_flask_looks_the_same(headers: dict[str, str], client: FlaskClient) -> None:
    answer = client.get("/", headers=headers | {"Host": "a@b"})
    assert answer.status_code == 400
    assert answer.headers["X-Request-ID"] in answer.text
    assert answer.mimetype == ("application/problem+json" if headers is JSON else "text/html")


def test_an_error_before_flask_says_when_to_come_back_too() -> None:
    status, headers, _ = bare_error({}, 503, "Under repair.")
    assert status == "503 Service Unavailable"
    assert ("Retry-After", "5") in headers


def test_errors_are_called_as_in_rfc_9110_by_every_python() -> None:
    named = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
    assert {status: title(status) for status in named} == named
    assert title(404) == "Not Found"
