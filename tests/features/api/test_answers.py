"""What every answer has: a type, an ETag where it can be kept, no cookie; and what becomes of other methods."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api import contract
from tests.features.api.programs import Program, assert_problem, program
from tests.features.auth.people import add_user, member

Books = list[dict[str, Any]]


@pytest.mark.parametrize("path", ["/me", "/tokens", "/books"])
def test_what_is_known_already_is_not_sent_again(path: str, books: Books, with_tokens: Program) -> None:
    tag = with_tokens.get(path).headers["ETag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = with_tokens.get(path, If_None_Match=known)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize("known", ['"other"', "other", "", '"', 'W/"', "\xff", '""'])
def test_what_is_not_known_is_sent(known: str, with_tokens: Program) -> None:
    assert with_tokens.get("/me", If_None_Match=known).status_code == 200


def test_two_users_never_share_an_answer_or_its_tag(app: Flask, with_tokens: Program) -> None:
    grace = program(app, add_user(app, "grace"))
    first, second = with_tokens.get("/me"), grace.get("/me")
    assert first.headers["ETag"] != second.headers["ETag"]
    for answer in (first, second):
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= set(answer.vary)


@pytest.mark.parametrize("path", ["/me", "/tokens", "/books", "/books?since=2000"])
def test_head_is_get_without_a_body(path: str, books: Books, with_tokens: Program) -> None:
    head, get = with_tokens.send("HEAD", path), with_tokens.get(path)
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/me", {"GET"}),
        ("/tokens", {"GET", "POST"}),
        ("/tokens/1", {"DELETE"}),
        ("/books", {"GET", "POST", "PUT", "PATCH"}),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "FOO", "CONNECT", "PROPFIND"])
def test_other_methods_are_told_which_are_right(
    method: str, path: str, allowed: set[str], client: FlaskClient, books: Books
) -> None:
    answer = client.open(f"/api/v1{path}", environ_overrides={"REQUEST_METHOD": method, "HTTP_X_SECRET": "echo"})
    if method == "OPTIONS":
        assert answer.status_code == 200
    else:
        assert_problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed
    assert "echo" not in answer.text


@pytest.mark.parametrize(
    "path", ["", "/", "/nothing", "/me/", "/ME", "/tokens/", "/tokens/1/", "/books/1", "/%00", "/%c0%ae"]
)
def test_where_there_is_nothing_a_problem_says_so(path: str, client: FlaskClient, books: Books) -> None:
    assert_problem(client.get(f"/api/v1{path}", headers={"Accept": "text/html"}), 404)


def test_an_error_of_ours_tells_nothing_of_our_insides(app: Flask, books: Books) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.view_functions["books.shelf"] = lambda: 1 / 0
    assert_problem(app.test_client().get("/api/v1/books"), 500)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/me"), ("GET", "/nothing"), ("POST", "/tokens"), ("GET", "/books")]
)
def test_no_answer_sets_a_cookie(method: str, path: str, app: Flask, books: Books) -> None:
    for client in (app.test_client(), member(app).client):
        answer = client.open(f"/api/v1{path}", method=method)
        assert "Set-Cookie" not in answer.headers


def test_a_program_gets_no_cookie(with_tokens: Program) -> None:
    assert "Set-Cookie" not in with_tokens.send("POST", "/tokens", {"name": "n"}).headers


# --- the limit of writes ------------------------------------------------------------------------


@pytest.fixture
def three_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract.WRITES, "count", 3)


@pytest.mark.usefixtures("three_writes")
def test_who_writes_too_often_is_told_when_to_come_back(with_tokens: Program) -> None:
    statuses = [with_tokens.send("POST", "/tokens", {"name": "n"}).status_code for _ in range(3)]
    refused = with_tokens.send("POST", "/tokens", {"name": "n"})
    assert_problem(refused, 429)
    assert (statuses, 0 < int(refused.headers["Retry-After"]) <= 60) == ([201] * 3, True)
    assert len(with_tokens.get("/tokens").json["items"]) == 4


@pytest.mark.usefixtures("three_writes")
def test_the_limit_is_one_for_all_tokens_of_a_user(app: Flask, ada: int, with_tokens: Program) -> None:
    for _ in range(3):
        with_tokens.send("DELETE", "/tokens/7")
    assert_problem(program(app, ada, "tokens:write").send("DELETE", "/tokens/7"), 429)


@pytest.mark.usefixtures("three_writes")
def test_the_writes_of_one_user_leave_those_of_others(app: Flask, with_tokens: Program) -> None:
    for _ in range(4):
        with_tokens.send("DELETE", "/tokens/7")
    grace = program(app, add_user(app, "grace"), "tokens:write")
    assert grace.send("POST", "/tokens", {"name": "n"}).status_code == 201


@pytest.mark.usefixtures("three_writes")
def test_reading_is_not_counted(with_tokens: Program) -> None:
    assert {with_tokens.get("/me").status_code for _ in range(9)} == {200}
