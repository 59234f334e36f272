"""What a program may send: JSON with one meaning, of the declared type, and not too much. The same for every method."""

import io
import json
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app.api.reader import MAX_BYTES, MAX_DEPTH
from tests.features.api.books import WRITING
from tests.features.api.malformed_json import GOOD, malformed
from tests.features.api.programs import assert_problem

Books = list[dict[str, Any]]
JSON = "application/json"
every_method = pytest.mark.parametrize("method", WRITING)


def send(
    client: FlaskClient, method: str, body: bytes, content_type: str | None = JSON, **options: Any
) -> TestResponse:
    return client.open("/api/v1/books", method=method, data=body, content_type=content_type, **options)


@every_method
@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_read(method: str, content_type: str, client: FlaskClient, books: Books) -> None:
    answer = send(client, method, GOOD, content_type)
    assert (answer.status_code, answer.mimetype) == (201 if method == "POST" else 200, JSON)
    assert books == [{"title": 'On üml"auts', "pages": 120, "price": 15.0, "method": method}]


@every_method
@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "text/json", "text/html", "application/jsonp", "application/xml", "application/ld+json",
     "application/merge-patch+json", "application/octet-stream", "application/x-www-form-urlencoded",
     "multipart/form-data; boundary=x", "json", "*/*", "application/json, text/plain", "text/plain; application/json"],
)  # fmt: skip
def test_another_content_type_is_not_read(
    method: str, content_type: str | None, client: FlaskClient, books: Books
) -> None:
    assert_problem(send(client, method, GOOD, content_type), 415)
    assert books == []


@every_method
@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "nonsense"])
def test_an_encoded_body_is_not_unpacked(method: str, encoding: str, client: FlaskClient, books: Books) -> None:
    assert_problem(send(client, method, GOOD, headers={"Content-Encoding": encoding}), 415)


@every_method
def test_malformed_json_is_refused_in_hundreds_of_variants(method: str, client: FlaskClient, books: Books) -> None:
    variants = malformed()
    answers = [(variant[:60], send(client, method, variant).status_code) for variant in variants]
    assert [answer for answer in answers if answer[1] != 400] == []
    assert (len(variants) > 250, books) == (True, [])


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff", b"1" * 5000, b'{"a": NaN}', b'{"a":1,"a":2}'])
def test_what_is_wrong_with_malformed_json_is_said(body: bytes, client: FlaskClient, books: Books) -> None:
    assert_problem(send(client, "POST", body), 400)


@settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=200) | st.text('{}[]":,\\ \t01.eE+-untrfals', max_size=40).map(str.encode))
def test_any_bytes_get_an_answer_that_is_no_failure_of_ours(body: bytes, client: FlaskClient, books: Books) -> None:
    assert send(client, "POST", body).status_code in {400, 422}


@every_method
def test_nesting_is_read_as_deep_as_allowed(method: str, client: FlaskClient, books: Books) -> None:
    for depth, status in ((MAX_DEPTH, 422), (MAX_DEPTH + 1, 400)):
        assert send(client, method, b"[" * depth + b"]" * depth).status_code == status


def test_brackets_in_a_text_are_no_nesting(client: FlaskClient, books: Books) -> None:
    title = '[{"\\' * 10
    assert send(client, "POST", json.dumps({"title": title}).encode()).status_code == 201
    assert books[0]["title"] == title


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b"[]", b"{}", b'"",', b"\\\\\\", b'"\n', b"1", b" "])
def test_no_body_takes_long_to_be_refused(unit: bytes, client: FlaskClient, books: Books) -> None:
    body = (b'"' + unit * MAX_BYTES)[:MAX_BYTES]
    started = time.perf_counter()
    assert send(client, "POST", body).status_code in {400, 422}
    assert time.perf_counter() - started < 1


@every_method
@pytest.mark.parametrize("body", ["1", "-1.5", '"a"', "true", "null", "[]", '[{"title": "a"}]', '[["title", "a"]]'])
def test_json_that_is_no_object_is_refused(method: str, body: str, client: FlaskClient, books: Books) -> None:
    assert_problem(send(client, method, body.encode()), 422)


@every_method
@pytest.mark.parametrize(
    ("values", "field"),
    [("{}", "title"), ('{"title": null}', "title"), ('{"title": 7}', "title"), ('{"title": ["a"]}', "title"),
     ('{"title": ""}', "title"), ('{"title": " \\n "}', "title"), ('{"title": "\\u0000"}', "title"),
     ('{"title": "a\\u0000b"}', "title"), ('{"title": "\\ud800"}', "title"), ('{"title": "\\udc00\\ud800"}', "title"),
     (f'{{"title": "{"a" * 51}"}}', "title"), ('{"title": "a", "pages": "1"}', "pages"),
     ('{"title": "a", "pages": true}', "pages"), ('{"title": "a", "pages": 1.5}', "pages"),
     ('{"title": "a", "pages": 0}', "pages"), ('{"title": "a", "pages": null}', "pages"),
     ('{"title": "a", "price": "1"}', "price"), ('{"Title": "a", "title": "a"}', "Title")],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_named(
    method: str, values: str, field: str, client: FlaskClient, books: Books
) -> None:
    answer = send(client, method, values.encode())
    assert_problem(answer, 422)
    assert answer.json is not None
    assert [(error["field"], bool(error["message"])) for error in answer.json["errors"]] == [(field, True)]
    assert books == []


@pytest.mark.parametrize("pages", ["7", "7.0", "0.7e1", "70e-1"])
def test_a_whole_number_may_be_written_in_any_way(pages: str, client: FlaskClient, books: Books) -> None:
    send(client, "POST", f'{{"title": "a", "pages": {pages}}}'.encode())
    assert [book["pages"] for book in books] == [7]


@every_method
@pytest.mark.parametrize("field", ["id", "is_admin", "created_at", "user_id", "__class__", "__proto__", "", "tïtle"])
def test_a_field_that_nobody_asked_for_is_refused(method: str, field: str, client: FlaskClient, books: Books) -> None:
    assert_problem(send(client, method, json.dumps({"title": "a", field: 1}).encode()), 422)
    assert books == []


@every_method
def test_a_body_may_be_as_large_as_the_limit(method: str, client: FlaskClient, books: Books) -> None:
    assert send(client, method, GOOD.ljust(MAX_BYTES)).status_code < 300


@every_method
@pytest.mark.parametrize("size", [MAX_BYTES + 1, 9 * 1024 * 1024])
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_larger_body_is_refused(method: str, size: int, chunked: bool, client: FlaskClient, books: Books) -> None:
    body = GOOD.ljust(size)
    if chunked:
        sent = {"input_stream": io.BytesIO(body), "environ_overrides": {"wsgi.input_terminated": True}}
        answer = client.open("/api/v1/books", method=method, content_type=JSON, **sent)
    else:
        answer = send(client, method, body)
    assert_problem(answer, 413)
    assert books == []


def test_a_body_in_chunks_is_read(client: FlaskClient, books: Books) -> None:
    sent = {"input_stream": io.BytesIO(GOOD), "environ_overrides": {"wsgi.input_terminated": True}}
    assert client.open("/api/v1/books", method="POST", content_type=JSON, **sent).status_code == 201


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_changes_the_method(name: str, client: FlaskClient, books: Books) -> None:
    send(client, "POST", GOOD, headers={name: "PUT"})
    assert [book["method"] for book in books] == ["POST"]


def test_no_query_changes_the_method(client: FlaskClient, books: Books) -> None:
    send(client, "POST", GOOD, query_string={"_method": "PUT"})
    assert [book["method"] for book in books] == ["POST"]


def test_no_field_changes_the_method(client: FlaskClient, books: Books) -> None:
    assert_problem(send(client, "POST", b'{"title": "a", "_method": "PUT"}'), 422)
