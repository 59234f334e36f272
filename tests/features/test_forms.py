"""What a form may be sent, whatever feature it belongs to: not too much, and nothing that is no form."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.features.conftest import Visitor
from tests.features.letters import add_letters


def test_a_form_is_read_once_and_its_answer_shown_once(visitor: Visitor, letters: list[str]) -> None:
    answer = visitor.send("/letters/new", text="Dear Flask")
    assert (answer.status_code, answer.headers["Location"], letters) == (303, "/letters/", ["Dear Flask"])
    assert "Your letter is on its way." in visitor.get("/letters/").text
    assert "Your letter is on its way." not in visitor.get("/letters/").text


@pytest.mark.parametrize("path", ["/letters/new", "/letters/1/answer"])
def test_without_a_token_nothing_is_read(path: str, visitor: Visitor, letters: list[str]) -> None:
    answer = visitor.client.post(path, data={"text": "Dear Flask"})
    assert (answer.status_code, "This form has expired" in answer.text, letters) == (400, True, [])


@pytest.mark.parametrize(
    ("content_type", "count"), [("application/x-www-form-urlencoded", 20_000), ("multipart/form-data", 2000)]
)
def test_thousands_of_fields_are_refused(content_type: str, count: int, visitor: Visitor, letters: list[str]) -> None:
    fields = {f"field{number}": "1" for number in range(count)} | {"text": "t"}
    answer = visitor.client.post("/letters/new", data=fields, content_type=content_type)
    assert (answer.status_code, letters) == (413, [])
    assert "What was sent is too large." in answer.text


def test_a_thousand_fields_are_read(visitor: Visitor, letters: list[str]) -> None:
    fields = {f"field{number}": "1" for number in range(998)}
    assert visitor.send("/letters/new", text="t", **fields).status_code == 303
    assert letters == ["t"]


def test_a_body_beyond_the_limit_is_refused(make_app: Callable[..., Flask]) -> None:
    app = make_app(MAX_CONTENT_LENGTH=4096)
    letters, client = add_letters(app), app.test_client()
    for size, status in ((3000, 400), (5000, 413)):
        answer = client.post("/letters/new", data={"text": "t" * size})
        assert answer.status_code == status
        assert answer.headers["X-Request-ID"] in answer.text
    assert letters == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=text\r\n\r\nhalf"),
        ("multipart/form-data; boundary=\xe4", b"--x"),
        ("application/x-www-form-urlencoded", b"text=\xff\xfe&more=%ff"),
        ("application/json", b"{"),
        ("text/plain", b"text=t"),
    ],
)
def test_a_body_that_is_no_form_is_refused_without_an_error_of_ours(
    content_type: str, body: bytes, client: FlaskClient, letters: list[str]
) -> None:
    assert client.post("/letters/new", data=body, content_type=content_type).status_code == 400
    assert letters == []
