"""The administration: it exists for admins only, who find users, disable them, and see how this instance is."""

import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.auth.models import User
from app.extensions import db
from app.platform.database import write_unit
from app.platform.version import version
from app.tokens import new_token
from tests.features.auth.people import PASSWORD, add_user, log_in, member
from tests.features.conftest import Visitor


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return member(app, "root", is_admin=True)


@pytest.fixture
def ada(app: Flask, admin: Visitor) -> Visitor:
    """A user in her browser. The admin was here before her, and so has the key 1."""
    return member(app)


def id_of(app: Flask, name: str) -> int:
    with app.app_context():
        return db.session.scalars(select(User.id).where(User.name == name)).one()


def act(admin: Visitor, name: str, action: str) -> TestResponse:
    return admin.send(f"/admin/users/{id_of(admin.client.application, name)}/{action}", form_at="/admin/users")


def is_in(visitor: Visitor) -> bool:
    return visitor.get("/auth/account").status_code == 200


def listed(admin: Visitor, **query: str) -> list[str]:
    answer = admin.client.get("/admin/users", query_string=query)
    assert answer.status_code == 200
    return re.findall(r"<b>([\w-]+)</b>", answer.text)


# --- for whom it exists ---------------------------------------------------------------------------


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Method and path of everything below /admin, whichever feature has added it; numbers are 1."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/admin"):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, re.sub(r"<[^>]+>", "1", rule.rule)


def statuses(app: Flask, visitor: Visitor, form_at: str) -> dict[tuple[str, str], int]:
    found = {}
    for method, path in routes(app):
        answer = visitor.get(path) if method == "GET" else visitor.send(path, form_at=form_at)
        found[method, path] = answer.status_code
    return found


def test_for_a_visitor_nothing_of_it_exists(app: Flask, visitor: Visitor) -> None:
    assert statuses(app, visitor, "/auth/login") == dict.fromkeys(routes(app), 404)


def test_for_a_user_nothing_of_it_exists(app: Flask, ada: Visitor) -> None:
    assert statuses(app, ada, "/auth/account") == dict.fromkeys(routes(app), 404)


def test_for_an_admin_all_its_pages_do(app: Flask, admin: Visitor) -> None:
    pages = [path for method, path in routes(app) if method == "GET"]
    assert {path: admin.get(path).status_code for path in pages} == dict.fromkeys(pages, 200)
    assert {"/admin/", "/admin/users"} <= set(pages)


def test_no_cache_keeps_a_page_of_it(app: Flask, admin: Visitor) -> None:
    pages = [path for method, path in routes(app) if method == "GET"]
    assert {admin.get(path).headers["Cache-Control"] for path in pages} == {"no-store"}


def test_only_an_admin_sees_the_way_to_it(admin: Visitor, ada: Visitor) -> None:
    assert ['href="/admin/"' in visitor.get("/").text for visitor in (admin, ada)] == [True, False]


def test_who_is_an_admin_no_longer_is_out_at_once(app: Flask, admin: Visitor) -> None:
    with app.app_context(), write_unit():
        db.session.query(User).update({"is_admin": False})
    assert admin.get("/admin/").status_code == 404


# --- the users ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a_b", "abc", "axb", "bob", "root"]),
        ("a", ["a_b", "abc", "axb"]),
        ("AB", ["abc"]),
        (" bob ", ["bob"]),
        ("b", ["bob"]),
        ("a_", ["a_b"]),
        ("%", []),
        ("_", []),
        ("a%b", []),
        ("/", []),
        ("x" * 5000, None),
        ("'; DROP TABLE users --", []),
    ],
)
def test_users_are_found_by_how_their_name_begins(query: str, names: list[str] | None, admin: Visitor) -> None:
    for name in ("bob", "axb", "abc", "a_b"):
        add_user(admin.client.application, name)
    if names is None:
        assert admin.client.get("/admin/users", query_string={"q": query}).status_code == 414
    else:
        assert listed(admin, q=query) == names


def test_long_lists_of_users_have_pages(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.admin.views.PAGE", 2)
    for name in ("dora", "bob", "carl", "dave", "bill"):
        add_user(admin.client.application, name)
    pages, path = [], "/admin/users"
    while path:
        page = admin.get(path).text
        pages.append(re.findall(r"<b>([\w-]+)</b>", page))
        following = re.search(r'<a href="([^"]+)" rel="next">', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert pages == [["bill", "bob"], ["carl", "dave"], ["dora", "root"]]


def test_the_next_page_is_of_the_same_search(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.admin.views.PAGE", 2)
    for name in ("bob", "bill", "bert", "carl"):
        add_user(admin.client.application, name)
    assert 'href="/admin/users?after=bill&amp;q=b" rel="next"' in admin.get("/admin/users?q=b").text
    assert listed(admin, after="bill", q="b") == ["bob"]


def test_a_disabled_user_is_out_at_once_and_stays_out(app: Flask, admin: Visitor, ada: Visitor) -> None:
    answer = act(admin, "ada", "disable")
    assert "ada is disabled, and logged out everywhere." in admin.get(answer.headers["Location"]).text
    assert (is_in(ada), is_in(admin)) == (False, True)
    again = Visitor(app.test_client()).send("/auth/login", name="ada", password=PASSWORD)
    assert again.status_code == 422


def test_the_token_of_a_disabled_user_opens_nothing(app: Flask, admin: Visitor, ada: Visitor) -> None:
    with app.app_context(), write_unit():
        token, secret = new_token(db.session.get_one(User, id_of(app, "ada")), "backup", [], 1)
        db.session.add(token)

    def status() -> int:
        return app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).status_code

    before = status()
    act(admin, "ada", "disable")
    assert (before, status()) == (200, 401)


def test_an_enabled_user_can_log_in_again_but_has_no_old_session(app: Flask, admin: Visitor, ada: Visitor) -> None:
    act(admin, "ada", "disable")
    act(admin, "ada", "enable")
    assert not is_in(ada)
    log_in(Visitor(app.test_client()), "ada")


def test_all_sessions_of_a_user_are_ended_and_nobody_elses(app: Flask, admin: Visitor, ada: Visitor) -> None:
    phone = Visitor(app.test_client())
    log_in(phone, "ada")
    assert "2 devices" in admin.get("/admin/users?q=ada").text
    act(admin, "ada", "end-sessions")
    assert [is_in(visitor) for visitor in (ada, phone, admin)] == [False, False, True]
    log_in(phone, "ada")


def test_no_admin_locks_everybody_out(admin: Visitor) -> None:
    answer = act(admin, "root", "disable")
    assert (answer.status_code, "You can not disable yourself" in answer.text, is_in(admin)) == (409, True, True)
    assert "/disable" not in admin.get("/admin/users").text


@pytest.mark.parametrize("action", ["disable", "enable", "end-sessions"])
@pytest.mark.parametrize("user_id", [99, 2**63 - 1, 10**40])
def test_a_user_that_does_not_exist_is_not_found(action: str, user_id: int, admin: Visitor) -> None:
    assert admin.send(f"/admin/users/{user_id}/{action}", form_at="/admin/users").status_code == 404


def test_what_was_searched_is_text_on_the_page(admin: Visitor) -> None:
    page = admin.client.get("/admin/users", query_string={"q": '"><script>'}).text
    assert '"><script>' not in page.partition("<main")[2]


# --- the status -----------------------------------------------------------------------------------


def facts(admin: Visitor) -> dict[str, dict[str, str]]:
    page = admin.get("/admin/").text
    return {
        heading: dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", part))
        for heading, part in re.findall(r"<h2>([^<]+)</h2>(.*?)</dl>", page, re.DOTALL)
    }


def test_the_status_says_what_runs_here(admin: Visitor) -> None:
    shown = facts(admin)
    assert (shown["Release"]["Version"], shown["Release"]["Environment"]) == (version(), "testing")


def test_the_status_says_how_the_database_is(admin: Visitor, ada: Visitor) -> None:
    shown = facts(admin)["Database"]
    assert [shown[name] for name in ("Kind", "Migrations", "Users")] == ["sqlite", "current", "2"]
    assert re.fullmatch(r"\d+\.\d ms", shown["Answers in"])


@pytest.mark.parametrize(
    ("settings", "kind", "works"),
    [({}, "sqlite", "yes"), ({"REDIS_URL": "redis://127.0.0.1:9/0"}, "redis", "no: every read is a miss")],
)
def test_the_status_says_whether_the_cache_works(
    settings: dict[str, str], kind: str, works: str, make_app: Callable[..., Flask]
) -> None:
    shown = facts(member(make_app(**settings), "root", is_admin=True))["Cache"]
    assert (shown["Kind"], shown["Works"]) == (kind, works)
