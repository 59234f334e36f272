"""What may stand behind the question mark: names that the document has, once each, with values that mean one thing."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.features.api.programs import assert_problem

Books = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("query", "shown"),
    [("", {"since": 1900, "title": ""}), ("?since=2024", {"since": 2024, "title": ""}),
     ("?since=0002024&title=On+%C3%BCml", {"since": 2024, "title": "On üml"}),
     ("?title=", {"since": 1900, "title": ""}), ("?title=7", {"since": 1900, "title": "7"}),
     ("?title=a%26since%3D1", {"since": 1900, "title": "a&since=1"})],
)  # fmt: skip
def test_a_query_is_read(query: str, shown: dict[str, Any], client: FlaskClient, books: Books) -> None:
    assert client.get(f"/api/v1/books{query}").json == shown


@pytest.mark.parametrize("query", ["since=1&since=2", "since=1&title=a&since=1", "title=&title=", "x=1&x=2"])
def test_a_name_given_twice_is_refused(query: str, client: FlaskClient, books: Books) -> None:
    assert_problem(client.get(f"/api/v1/books?{query}"), 400)


@pytest.mark.parametrize(
    "name", ["before", "id", "Since", "since ", "since[]", "title[]", "", "is_admin", "__class__", "since%00", "%ff"]
)
def test_a_name_that_nobody_asked_for_is_refused(name: str, client: FlaskClient, books: Books) -> None:
    assert_problem(client.get(f"/api/v1/books?{name}=2024"), 422)


@pytest.mark.parametrize(
    "value",
    ["", "-1", "0", "2101", "abc", "1e3", "2024.0", "2_024", "0x7e8", " 2024", "2024%0a", "%2B2024", "--2024", "null",
     "true", "1;drop", f"{10**30}", "9" * 3000, "9223372036854775808", "%D9%A1%D9%A2", "%EF%BC%91", "%C2%BD", "%00",
     "%ff", "[1]"],
)  # fmt: skip
def test_what_is_no_number_in_the_range_is_refused(value: str, client: FlaskClient, books: Books) -> None:
    answer = client.get(f"/api/v1/books?since={value}")
    assert_problem(answer, 422)
    assert answer.json is not None
    assert [error["field"] for error in answer.json["errors"]] == ["since"]


@pytest.mark.parametrize(
    "title", ["%00", "%ff", "%c0%ae", "%ed%a0%80", "%f0%9f%98%80", "%", "%zz", "<script>", "{{7*7}}"]
)
def test_a_text_may_be_any_text(title: str, client: FlaskClient, books: Books) -> None:
    answer = client.get(f"/api/v1/books?title={title}")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")


def test_a_text_may_be_too_long(client: FlaskClient, books: Books) -> None:
    assert_problem(client.get(f"/api/v1/books?title={'a' * 51}"), 422)
