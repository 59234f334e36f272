"""The pages that need no data, and what all pages have in common."""

from collections.abc import Callable

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from markupsafe import escape

from tests.features.conftest import Visitor


def test_the_home_page_says_what_serves_it(visitor: Visitor) -> None:
    page = visitor.get("/", environ_overrides={"SERVER_SOFTWARE": "gunicorn/27.0.1"})
    assert page.status_code == 200
    assert "<dd>Gunicorn</dd>" in page.text
    assert "27.0.1" not in page.text


@pytest.mark.parametrize(
    ("environ", "name"),
    [({"uwsgi.version": b"2.0"}, "Uwsgi"), ({"SERVER_SOFTWARE": "waitress"}, "Waitress"), ({}, "a WSGI server")],
)
def test_every_server_has_a_name(environ: dict[str, object], name: str, visitor: Visitor) -> None:
    page = visitor.get("/", environ_overrides={"SERVER_SOFTWARE": ""} | environ)
    assert f"<dd>{name}</dd>" in page.text


@pytest.mark.usefixtures("letters")
def test_the_navigation_marks_where_the_visitor_is(visitor: Visitor) -> None:
    page = visitor.get("/about").text
    assert '<a href="/about" aria-current="page">About</a>' in page
    assert '<a href="/letters/">Letters</a>' in page
    assert '<a href="/letters/" aria-current="page">Letters</a>' in visitor.get("/letters/").text
    assert '<a href="/letters/" aria-current="true">Letters</a>' in visitor.get("/letters/new").text


def test_the_name_of_the_application_is_one_setting(make_app: Callable[..., Flask]) -> None:
    page = make_app(APP_NAME="Shop & <Co>").test_client().get("/about").text
    assert "<title>About · Shop &amp; &lt;Co&gt;</title>" in page
    assert "Groundwork" not in page


@pytest.mark.parametrize("path", ["/", "/about", "/letters/", "/letters/new", "/nowhere"])
@pytest.mark.usefixtures("letters")
def test_pages_work_under_the_strict_content_policy(path: str, visitor: Visitor) -> None:
    page = visitor.get(path).text
    assert page.startswith("<!doctype html>\n<html lang=")
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert "<script>" not in page
    assert 'src="http' not in page


@pytest.mark.parametrize("path", ["/", "/about", "/letters/", "/letters/new"])
@pytest.mark.usefixtures("letters")
def test_head_is_get_without_a_body(path: str, client: FlaskClient) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/", {"GET"}), ("/about", {"GET"}), ("/letters/new", {"GET", "POST"}), ("/letters/1/answer", {"POST"})],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "FOO", "OPTIONS"])
@pytest.mark.usefixtures("letters")
def test_other_methods_are_told_which_are_right(method: str, path: str, allowed: set[str], client: FlaskClient) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == (200 if method == "OPTIONS" else 405)
    assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.usefixtures("letters")
def test_an_address_that_does_not_exist_shows_the_way_back(visitor: Visitor) -> None:
    page = visitor.get("/<script>alert(1)</script>")
    assert page.status_code == 404
    assert "There is nothing at this address" in page.text
    assert page.text.count('href="/letters/"') == 2, "in the navigation, and below the words"
    assert "alert(1)" not in page.text


@pytest.mark.parametrize(
    "path", ["/about?a=%00", "/about?a=%ff", "/%00", "/%c0%ae", "/%ff", "/\u0661", "/{{1234*5678}}"]
)
def test_strange_addresses_are_no_error_of_ours(path: str, client: FlaskClient) -> None:
    answer = client.get(path)
    assert answer.status_code in {200, 404}
    assert "7006652" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "groundwork=\xff\xfe; a=b; a=c"},
        {"Cookie": "; ".join(f"c{number}=1" for number in range(500))},
        {"Accept": "a/b;q=x, */*;q=nan"},
        {"Accept-Language": "-" * 5000},
        {"Range": "bytes=0-,0-,0-"},
        {"If-Modified-Since": "yesterday"},
        {"Content-Type": "multipart/form-data"},
    ],
)
def test_strange_headers_change_nothing(headers: dict[str, str], app: Flask) -> None:
    client = app.test_client(use_cookies=False)  # a jar would take the header away
    assert client.get("/about", headers=headers).status_code == 200


def test_a_cookie_that_is_no_text_leaves_the_others_readable(app: Flask) -> None:
    with app.test_request_context(headers={"Cookie": "old=\xff\xfe; a=b; name=Z\xc3\xbcrich"}):
        assert request.cookies.to_dict() == {"old": "\ufffd\ufffd", "a": "b", "name": "Zürich"}


# --- the tour of the small things ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["<b>Ada</b>", '"><script>', "{{1234*5678}}", "%s", "Ünal"])
def test_a_name_from_the_query_is_text_inside_our_markup(name: str, client: FlaskClient) -> None:
    answer = client.get("/tour/", query_string={"name": name})
    assert f"<h1>Hello, <em>{escape(name)}</em></h1>" in answer.text
    assert answer.headers["X-Tour"] == "a header of our own"


def test_nobody_is_greeted_as_you(client: FlaskClient) -> None:
    assert "Hello, <em>you</em>" in client.get("/tour/?name=%20").text


@pytest.mark.parametrize(
    ("path", "status", "leads_to"),
    [
        ("/tour?name=%3Cb%3E", 308, "http://localhost/tour/?name=%3Cb%3E"),
        ("/hello?name=Ada%26Bob", 301, "/tour/?name=Ada%26Bob"),
        ("/hello?name=a&x=1", 301, "/tour/?name=a&x=1"),
        ("/hello?name=a&name=b", 301, "/tour/?name=a&name=b"),
        (
            "/hello?endpoint=x&_method=X&_scheme=http&_external=",
            301,
            "/tour/?endpoint=x&_method=X&_scheme=http&_external=",
        ),
        ("/hello", 301, "/tour/"),
    ],
)
def test_addresses_from_before_keep_their_query(path: str, status: int, leads_to: str, client: FlaskClient) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (status, leads_to)


def test_the_tour_leads_below_a_prefix_too(make_app: Callable[..., Flask]) -> None:
    client = make_app(TRUSTED_PROXIES=1).test_client()
    page = client.get("/tour/?name=Ada", headers={"X-Forwarded-Prefix": "/myapp"}).text
    assert 'href="/myapp/hello?name=Ada"' in page
    assert 'href="/myapp/tour?name=Ada"' in page
    assert 'action="/myapp/tour/"' in page


@pytest.mark.parametrize(("on", "heading"), [(False, "Hello, <em>Ada</em></h1>"), (True, "Hello, <em>Ada</em>!</h1>")])
def test_a_flag_makes_the_greeting_louder(on: bool, heading: str, app: Flask) -> None:
    app.extensions["flags"] = {"loud-greeting": on}
    assert heading in app.test_client().get("/tour/?name=Ada").text
