"""Two applications under one nginx, used by one person in one browser."""

from collections.abc import Callable
from typing import Any

import pytest

from config import ROOT
from tests.deploy.nginx.conftest import Front

OpenPage = Callable[..., Any]
PICTURE = ROOT / "docs/img/home.png"
PASSWORD = "correct horse battery"


def register(page: Any, address: str, name: str) -> None:
    page.goto(f"{address}/auth/register")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create").click()
    page.get_by_text(f"Welcome, {name}").wait_for()


def publish(page: Any, address: str) -> None:
    """A form with a redirect afterwards, a file, and the page that shows it."""
    page.goto(f"{address}/posts/new")
    page.get_by_label("Title").fill("A post")
    page.get_by_label("Text").fill("Some text.")
    page.get_by_label("Image").set_input_files(PICTURE)
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("Your post is published.").wait_for()


@pytest.fixture
def visits(prefixes: tuple[Front, Front], open_page: OpenPage) -> tuple[Any, str, str]:
    """A window, and the addresses of both applications."""
    first, second = (f"https://www.example.com:{front.site.https}{front.prefix}" for front in prefixes)
    return open_page(f"{first}/", ignore_https_errors=True), first, second


def test_one_browser_uses_both_at_once(visits: tuple[Any, str, str]) -> None:
    page, first, second = visits
    answers: dict[str, int] = {}
    page.on("response", lambda answer: answers.setdefault(answer.url, answer.status))
    register(page, first, "ada")
    register(page, second, "grace")
    for address, name in ((first, "ada"), (second, "grace"), (first, "ada")):
        publish(page, address)
        assert page.url.startswith(f"{address}/posts/")
        assert page.locator("main img").evaluate("image => image.naturalWidth") > 0
        page.goto(f"{address}/auth/account")
        assert name in page.locator("main").inner_text()
    assert {status for status in answers.values() if status >= 400} == set()
    assert page.console_errors == []
    fetched = [url for url in answers if "/static/" in url or "/uploads/" in url]
    assert {url.partition("/static/")[0] for url in fetched if "/static/" in url} == {first, second}
    assert {url.partition("/uploads/")[0] for url in fetched if "/uploads/" in url} == {first, second}


def test_logging_out_of_one_leaves_the_other(visits: tuple[Any, str, str]) -> None:
    page, first, second = visits
    register(page, first, "hedy")
    register(page, second, "joan")
    page.goto(f"{first}/")
    page.get_by_role("button", name="Log out").click()
    page.get_by_text("You are logged out.").wait_for()
    page.goto(f"{first}/auth/account")
    assert page.url == f"{first}/auth/login?next=/app1/auth/account"
    page.goto(f"{second}/auth/account")
    assert page.url == f"{second}/auth/account"


def test_neither_sees_the_others_cookies(visits: tuple[Any, str, str]) -> None:
    page, first, second = visits
    register(page, first, "edith")
    register(page, second, "mary")
    cookies = {(cookie["name"], cookie["path"], cookie["secure"]) for cookie in page.context.cookies()}
    sessions = {cookie for cookie in cookies if not cookie[0].endswith("-last")}
    assert sessions == {("__Secure-application-1", "/app1", True), ("__Secure-application-2", "/app2", True)}
    received = page.evaluate("async () => (await (await fetch('received')).json()).HTTP_COOKIE")
    assert "application-2" in received
    assert "application-1" not in received


@pytest.mark.parametrize("number", [0, 1])
def test_live_events_and_websockets_reach_each_page(number: int, visits: tuple[Any, str, str]) -> None:
    page, address = visits[0], visits[1 + number]
    page.goto(f"{address}/")
    event = page.evaluate(
        """() => new Promise((heard, failed) => {
            const source = new EventSource("events");
            source.onmessage = event => { source.close(); heard(event.data); };
            source.onerror = () => failed(new Error("no event"));
        })"""
    )
    echo = page.evaluate(
        """() => new Promise((heard, failed) => {
            const socket = new WebSocket(new URL("ws", location.href.replace("https:", "wss:")));
            socket.onopen = () => socket.send("hello");
            socket.onmessage = event => { socket.close(); heard(event.data); };
            socket.onerror = () => failed(new Error("no echo"));
        })"""
    )
    assert (event, echo) == ("first", "hello")
