"""Redirect targets, the content policy, and that no unsafe route goes without a CSRF token."""

from collections.abc import Callable, Iterator

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from werkzeug.routing import Rule

from app.extensions import csrf
from app.platform.security import UNSAFE_METHODS, ContentPolicy, local_path

# --- redirects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/", "/posts/7", "/posts/?before=7#end", "/%2f%2fevil.test", "/ä", "/a//b", "/@evil"]
)
def test_a_path_of_this_site_is_followed(target: str) -> None:
    assert local_path(target) == target


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/\\/evil.test",
        "https:evil.test",
        "https://evil.test",
        "HTTPS://evil.test/",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.test",
        "@evil.test",
        "\t//evil.test",
        "/\t/evil.test",
        " //evil.test",
        "/ /evil.test",
        "/\r\nSet-Cookie: x=1",
        "/posts\n",
        "/\x00",
        "/\x7f",
        "/a\\b",
        "%2f%2fevil.test",
    ],
)
def test_a_path_that_leads_elsewhere_is_not_followed(target: str | None) -> None:
    assert local_path(target) == "/"
    assert local_path(target, "/posts/") == "/posts/"


# --- content policy -----------------------------------------------------------------------------


def test_one_setting_opens_the_content_policy() -> None:
    opened = "script-src https://cdn.example https://x.example; img-src https:; frame-src https://video.example"
    policy = dict(part.split(" ", 1) for part in ContentPolicy(opened).without_nonce.split("; "))
    assert policy["script-src"] == "'self' https://cdn.example https://x.example"
    assert policy["img-src"] == "'self' data: https:"
    assert policy["frame-src"] == "'self' https://video.example"
    assert policy["style-src"] == "'self'"
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in ContentPolicy("").without_nonce


def test_the_setting_reaches_the_answers(make_app: Callable[..., Flask]) -> None:
    client = make_app(CSP_EXTRA_SOURCES="connect-src wss://push.example").test_client()
    assert "connect-src 'self' wss://push.example" in client.get("/").headers["Content-Security-Policy"]


# --- CSRF ---------------------------------------------------------------------------------------


@pytest.fixture
def effects() -> list[str]:
    return []


@pytest.fixture
def site(app: Flask, effects: list[str]) -> Iterator[FlaskClient]:
    """An application with a few more routes, registered after the factory is done: they are protected too."""

    def effect() -> str:
        effects.append("done")
        return "done"

    app.add_url_rule("/pay", "pay", effect, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])

    @app.post("/hook")
    def hook() -> str:
        return "hooked"

    exempt = Blueprint("exempt", __name__)
    exempt.add_url_rule("/callback", "callback", lambda: "called back", methods=["POST"])
    app.register_blueprint(exempt)
    app.add_url_rule("/token", "token", generate_csrf)
    csrf.exempt(hook)
    csrf.exempt(exempt)
    yield app.test_client()
    csrf._exempt_views.discard(f"{hook.__module__}.{hook.__name__}")
    csrf._exempt_blueprints.discard(exempt)


@pytest.mark.parametrize("method", sorted(UNSAFE_METHODS))
@pytest.mark.parametrize("token", [None, "", "wrong", "of another session"])
def test_without_this_sessions_token_nothing_happens(
    method: str, token: str | None, site: FlaskClient, effects: list[str]
) -> None:
    site.get("/token")
    if token == "of another session":
        token = site.application.test_client().get("/token").text
    answer = site.open("/pay", method=method, headers={"X-CSRFToken": token} if token is not None else {})
    assert (answer.status_code, effects) == (400, [])
    assert "This form has expired" in answer.text


@pytest.mark.parametrize("method", sorted(UNSAFE_METHODS))
def test_with_this_sessions_token_it_happens(method: str, site: FlaskClient, effects: list[str]) -> None:
    token = site.get("/token").text
    assert site.open("/pay", method=method, headers={"X-CSRFToken": token}).status_code == 200
    assert effects == ["done"]


def test_a_token_in_a_form_counts_and_a_get_needs_none(site: FlaskClient, effects: list[str]) -> None:
    assert site.post("/pay", data={"csrf_token": site.get("/token").text}).status_code == 200
    assert site.get("/pay").status_code == 200
    assert len(effects) == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://localhost"}, 403),
        ({"Origin": "https://localhost"}, 200),
        ({"Origin": "http://localhost"}, 200),  # behind a proxy that does not tell the scheme
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "https://localhost.evil.test"}, 403),
        ({"Origin": "https://localhost:8443"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Referer": "https://evil.test/"}, 200),  # the token decides: a program, or a browser too old for the others
        ({}, 200),
    ],
)
def test_a_page_of_another_site_is_refused_even_with_a_token(
    headers: dict[str, str], status: int, site: FlaskClient, effects: list[str]
) -> None:
    token = site.get("/token", base_url="https://localhost").text
    answer = site.post("/pay", headers={"X-CSRFToken": token} | headers, base_url="https://localhost")
    assert (answer.status_code, len(effects)) == (status, int(status == 200))


def test_an_exempt_view_needs_no_token(site: FlaskClient) -> None:
    assert site.post("/hook").text == "hooked"
    assert site.post("/callback").text == "called back"


def test_an_unsafe_request_to_nowhere_is_a_404_and_not_a_question_of_tokens(site: FlaskClient) -> None:
    assert site.post("/nowhere").status_code == 404
    assert site.delete("/about").status_code == 405


def test_a_method_override_is_not_followed(site: FlaskClient, effects: list[str]) -> None:
    site.get("/token?_method=DELETE", headers={"X-HTTP-Method-Override": "DELETE"})
    assert effects == []


def view_name(app: Flask, rule: Rule) -> str:
    view = app.view_functions[rule.endpoint]
    return f"{view.__module__}.{view.__name__}"


def test_every_unsafe_route_of_the_application_is_protected(app: Flask) -> None:
    app.add_url_rule("/one/<int:more>", "one_more", lambda more: "done", methods=["POST", "DELETE"])
    client = app.test_client()
    unsafe = [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & UNSAFE_METHODS
        if view_name(app, rule) not in csrf._exempt_views
    ]
    assert ("one_more", "DELETE") in {(rule.endpoint, method) for rule, method in unsafe}
    for rule, method in unsafe:
        _, path = rule.build(dict.fromkeys(rule.arguments, 1), append_unknown=False)  # type: ignore[misc]
        assert (rule.endpoint, client.open(path, method=method).status_code) == (rule.endpoint, 400)


def test_a_request_that_only_reads_meets_no_hook(app: Flask) -> None:
    assert not app.before_request_funcs.get(None)
