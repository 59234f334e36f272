"""A page of another origin in a real browser, and the API on each server: whatever fails there is blamed on CORS."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.cross_origin import another_origin
from benchmarks.servers import ROOT, environment, flask, gunicorn, running
from tests.servers.running import Running, free_port, wait_until

OpenPage = Callable[..., Any]
ROUNDS, AT_ONCE = 50, 40
WRITES = 120  # that a user has each minute, as app/api says
PASSWORD = "correct horse battery"
JSON = {"Content-Type": "application/json"}
POST = {"method": "POST", "headers": JSON, "body": json.dumps({"title": "From elsewhere", "body": "A text."})}
numbers = count(1000)  # above the keys of the posts; each address is used once, so that the browser asks for each


class Api(NamedTuple):
    address: str
    server: Running
    instance: Path

    def urls(self) -> list[str]:
        return [f"{self.address}/api/v1/posts?limit=5&before={next(numbers)}" for _ in range(AT_ONCE)]

    def access_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.server.lines.copy() if '"logger":"access"' in line]

    def preflights(self) -> int:
        return sum((line["method"], line["status"]) == ("OPTIONS", 204) for line in self.access_lines())

    def query(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.instance / "app.db")) as database, database:
            return database.execute(statement).fetchall()


@pytest.fixture(scope="module")
def listed() -> Iterator[str]:
    """The origin of a page that may call: 127.0.0.1, the site of the API, on another port."""
    with another_origin() as origin:
        yield origin


@pytest.fixture(scope="module")
def listed_elsewhere(listed: str) -> str:
    """The same page under a name that is another site to a browser, and may call, too."""
    return listed.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    with another_origin() as origin:
        yield origin


def serve(name: str, instance: Path, **settings: object) -> AbstractContextManager[Running]:
    if name == "gunicorn":
        return gunicorn(instance, application="wsgi:app", **settings)
    port = free_port()
    return running([sys.executable, "wsgi.py"], instance, port, "/ready", HOST="127.0.0.1", PORT=port, **settings)


@pytest.fixture(scope="module", params=["gunicorn", "waitress"])
def api(
    listed: str, listed_elsewhere: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Api]:
    """A server with 45 posts and the admin ada."""
    instance = tmp_path_factory.mktemp(request.param)
    flask(instance, "db", "upgrade")
    flask(instance, "seed", "--count", "45")
    create = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create-admin", "ada"]
    subprocess.run(
        create, cwd=ROOT, env=environment(instance), input=PASSWORD, text=True, check=True, capture_output=True
    )
    with serve(request.param, instance, WORKERS=2, CORS_ORIGINS=f"{listed}, {listed_elsewhere}") as server:
        yield Api(f"http://127.0.0.1:{server.port}", server, instance)


def ask(page: Any, url: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate("([url, options]) => ask(url, options)", [url, options])
    return answer


def log_in(page: Any, address: str) -> None:
    page.goto(f"{address}/auth/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{address}/")


def new_token(page: Any, address: str) -> str:
    """Of the account that is logged in, made on a page of the application's own."""
    page.goto(f"{address}/auth/account")
    csrf_token = page.locator("[name=csrf_token]").first.get_attribute("value")
    token = {"name": "the page", "scopes": ["posts:write"]}
    made = page.request.post(f"{address}/api/v1/tokens", headers={"X-CSRFToken": csrf_token}, data=token)
    return str(made.json()["token"])


@pytest.fixture
def quick_page(browser: Any) -> Iterator[Any]:
    """Of which only the console is listened to: an event for each of 4,000 requests would slow it down."""
    with browser.new_context() as window:
        page = window.new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        yield page


def test_of_two_thousand_requests_forty_at_a_time_none_fails(api: Api, listed: str, quick_page: Any) -> None:
    before = api.preflights()
    quick_page.goto(listed)
    for _ in range(ROUNDS):
        answers = quick_page.evaluate("urls => askAll(urls)", api.urls())
        assert Counter(answer["error"] or answer["status"] for answer in answers) == {200: AT_ONCE}
        for answer in answers:
            assert answer["headers"]["content-type"] == "application/json"
            assert answer["headers"]["x-request-id"] == answer["id"]  # its own answer, not another's
            assert len(json.loads(answer["text"])["items"]) == 5
    wait_until(lambda: api.preflights() >= before + ROUNDS * AT_ONCE, 5)
    assert quick_page.said == []


def test_a_page_that_is_not_listed_learns_nothing(api: Api, stranger: str, open_page: OpenPage) -> None:
    page, before = open_page(stranger), api.preflights()
    answers = page.evaluate("urls => askAll(urls)", api.urls())
    assert Counter(answer["error"] for answer in answers) == {"TypeError: Failed to fetch": AT_ONCE}
    wait_until(lambda: api.preflights() >= before + AT_ONCE, 5)
    assert not {answer["id"] for answer in answers} & {line["request_id"] for line in api.access_lines()}
    without_preflight = "url => fetch(url).then(answer => answer.status, error => error.name)"
    assert page.evaluate(without_preflight, f"{api.address}/api/v1/posts") == "TypeError"


ERRORS: list[tuple[int, str, dict[str, Any]]] = [
    (401, "/api/v1/me", {}),
    (401, "/api/v1/posts", {"headers": {"Authorization": "Bearer wrong"}}),
    (404, "/api/v1/posts/999999", {}),
    (404, "/nothing-here", {}),
    (405, "/api/v1/posts/1", {"method": "POST"}),
    (422, "/api/v1/posts?limit=0", {}),
]


def test_an_error_is_read_with_its_status_and_number(api: Api, listed: str, open_page: OpenPage) -> None:
    page = open_page(listed)
    for status, path, options in ERRORS:
        answer = ask(page, api.address + path, **options)
        assert (path, answer["status"], answer["headers"]["x-request-id"]) == (path, status, answer["id"])
        assert answer["id"] in answer["text"]
    assert not [error for error in page.console_errors if "CORS" in error]


@contextmanager
def without_its_table(api: Api) -> Iterator[None]:
    api.query("ALTER TABLE posts RENAME TO away")
    try:
        yield
    finally:
        api.query("ALTER TABLE away RENAME TO posts")


def test_an_outage_is_read_too_and_says_when_to_come_back(api: Api, listed: str, open_page: OpenPage) -> None:
    with without_its_table(api):
        answer = ask(open_page(listed), f"{api.address}/api/v1/posts?before={next(numbers)}")
    assert (answer["status"], answer["headers"]["retry-after"]) == (503, "5")


def test_a_cookie_is_for_reading_from_pages_of_its_own_site(
    api: Api, listed: str, listed_elsewhere: str, open_page: OpenPage
) -> None:
    page = open_page(api.address)
    log_in(page, api.address)
    page.goto(listed)
    answer = ask(page, f"{api.address}/api/v1/me")
    assert (answer["status"], json.loads(answer["text"])["name"]) == (200, "ada")
    page.goto(listed_elsewhere)
    assert ask(page, f"{api.address}/api/v1/me")["status"] == 401


def test_a_cookie_writes_nothing_from_another_origin(api: Api, listed: str, open_page: OpenPage) -> None:
    page = open_page(api.address)
    log_in(page, api.address)
    page.goto(listed)
    posts = api.query("SELECT count(*) FROM posts")
    form = POST | {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": "title=a&body=b"}
    for path, options in {"/api/v1/posts": POST, "/posts/new": form}.items():
        answer = ask(page, api.address + path, **options)
        assert (answer["status"], "page of another site" in answer["text"]) == (403, True)
    assert api.query("SELECT count(*) FROM posts") == posts


def test_a_token_writes_from_any_listed_page_until_its_minute_is_used_up(
    api: Api, listed_elsewhere: str, open_page: OpenPage
) -> None:
    page = open_page(api.address)
    log_in(page, api.address)
    headers = JSON | {"Authorization": f"Bearer {new_token(page, api.address)}"}
    page.goto(listed_elsewhere)
    made = ask(page, f"{api.address}/api/v1/posts", **POST | {"headers": headers})
    assert (made["status"], made["headers"]["etag"]) == (201, '"1"')
    assert ask(page, api.address + made["headers"]["location"])["status"] == 200
    many = "([url, options, count]) => Promise.all(Array.from({ length: count }, () => ask(url, options)))"
    empty = {"method": "POST", "headers": headers, "body": "{}"}
    answers = page.evaluate(many, [f"{api.address}/api/v1/posts", empty, WRITES])
    assert {answer["status"] for answer in answers} == {422, 429}
    refused = next(answer for answer in answers if answer["status"] == 429)
    assert 0 < int(refused["headers"]["retry-after"]) <= 60
