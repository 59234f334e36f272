"""The document describes the whole API in valid OpenAPI, and the page for people shows all of it."""

import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient

from app.api import operations, scopes
from app.platform.security import UNSAFE_METHODS, CrossOrigin
from tests.features.api.books import add_books
from tests.features.auth.people import member
from tests.features.test_prefix import SITE, proxy

Json = dict[str, Any]
ROOT = "/api/v1"


@pytest.fixture
def document(client: FlaskClient) -> Json:
    answer = client.get(f"{ROOT}/openapi.json")
    assert (answer.status_code, answer.mimetype, answer.json is None) == (200, "application/json", False)
    return answer.json or {}


@pytest.fixture
def page(client: FlaskClient) -> str:
    return client.get("/api/docs").text


def described(document: Json) -> dict[tuple[str, str], Json]:
    """{("GET", "/me"): operation}"""
    return {
        (method.upper(), path): found
        for path, methods in document["paths"].items()
        for method, found in methods.items()
    }


def routes(app: Flask) -> set[tuple[str, str]]:
    """What really answers below /api/v1, but for the document itself."""
    found = set()
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(ROOT) and not rule.rule.endswith("/openapi.json"):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix(ROOT))
            found |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def references(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(references, part))
    if not isinstance(part, dict):
        return set()
    own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
    return own.union(*map(references, part.values()))


def test_the_document_is_openapi(document: Json) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


def test_every_schema_is_json_schema(document: Json) -> None:
    parameters = [parameter["schema"] for one in described(document).values() for parameter in one["parameters"]]
    for schema in [*document["components"]["schemas"].values(), *parameters]:
        jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_every_reference_leads_somewhere(document: Json) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) == known


def test_all_that_answers_is_in_the_document(app: Flask, document: Json) -> None:
    assert set(described(document)) == routes(app)


def test_what_a_feature_adds_is_in_the_document_too(app: Flask) -> None:
    add_books(app)
    document = app.test_client().get(f"{ROOT}/openapi.json").json or {}
    assert {("GET", "/books"), ("POST", "/books"), ("PUT", "/books"), ("PATCH", "/books")} <= set(described(document))
    assert document["components"]["schemas"]["BookIn"]["additionalProperties"] is False


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(document: Json) -> None:
    operations = described(document).values()
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)


def test_every_parameter_of_a_path_is_described(document: Json) -> None:
    for (_, path), operation in described(document).items():
        named = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert named == re.findall(r"{(\w+)}", path)


def test_what_changes_something_names_the_scope_that_it_needs(app: Flask, document: Json) -> None:
    named = set()
    for (method, _), operation in described(document).items():
        if method in UNSAFE_METHODS:
            named |= set(re.findall(r"`([\w:]+)`", operation["description"]))
            assert operation["security"] == [{"token": []}, {"session": []}]
    assert (sorted(named), "tokens:write" in named) == (scopes(app), True)


def test_the_name_of_the_cookie_is_the_one_that_is_sent(app: Flask, document: Json) -> None:
    cookie = document["components"]["securitySchemes"]["session"]["name"]
    assert member(app).client.get_cookie(cookie) is not None


def test_a_document_that_is_known_is_not_sent_again(client: FlaskClient) -> None:
    tag = client.get(f"{ROOT}/openapi.json").headers["ETag"]
    assert client.get(f"{ROOT}/openapi.json", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("cut", [True, False], ids=["the proxy cuts the prefix", "the proxy keeps it"])
def test_below_a_prefix_the_server_of_the_document_has_it(cut: bool, make_app: Callable[..., Flask]) -> None:
    client = proxy(make_app(TRUSTED_PROXIES=1, TRUSTED_HOSTS=("www.example.com",)), cut)
    document = client.get("/myapp/api/v1/openapi.json", base_url=SITE).json or {}
    assert document["servers"] == [{"url": "/myapp/api/v1"}]
    assert document["components"]["securitySchemes"]["session"]["name"].startswith("__Secure-")
    assert client.get(document["servers"][0]["url"] + "/me", base_url=SITE).status_code == 401


# --- the page -----------------------------------------------------------------------------------


def test_the_page_lists_every_operation(document: Json, page: str) -> None:
    shown = re.findall(r'<section class="operation" id="([^"]+)">\s*<h2><code>(\w+) ([^<]+)</code>', page)
    expected = {(found["operationId"], method, path) for (method, path), found in described(document).items()}
    assert set(shown) == expected


def test_the_page_shows_everything_that_is_sent_and_answered(document: Json, page: str) -> None:
    sections = set(re.findall(r'<section class="operation" id="([^".]+)">\s*<h3>', page))
    assert sections == set(document["components"]["schemas"])
    assert set(re.findall(r'href="#(\w+)"', page)) - sections <= {"main", "content"}


def test_the_page_lists_the_scopes(app: Flask, page: str) -> None:
    assert all(f"A token needs the scope {scope}." in page for scope in scopes(app))


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert not re.search(r'(?:src|srcset)="(?:https?:)?//|<link[^>]+href="(?:https?:)?//|<script(?![^>]+src=)', page)


def test_the_page_leads_to_the_document(client: FlaskClient, page: str) -> None:
    found = re.search(r'href="([^"]+)">OpenAPI 3\.1\.0<', page)
    assert found
    assert client.get(found[1]).mimetype == "application/json"


def test_a_page_of_a_listed_origin_may_send_every_header_that_is_read(app: Flask) -> None:
    sent = {name for *_, operation in operations(app) for name in operation.headers}
    assert sent <= set(CrossOrigin.HEADERS.split(", "))
