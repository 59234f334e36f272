"""What a reader sees and can do: at two widths, in light and dark, with keyboard, with and without JavaScript."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.browser.conftest import assert_focus_is_always_visible, assert_sound

OpenPage = Callable[..., Any]
PAGES = {"home": "/", "about": "/about", "list": "/counters/", "form": "/counters/1", "not found": "/nothing-here"}
SHORT_WAIT = 300  # milliseconds, for a second request that must not come


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_window_and_breaks_no_policy(open_page: OpenPage, site: str, window: dict, name: str) -> None:
    assert_sound(open_page(site + PAGES[name], **window), site)


def test_dark_readers_get_a_dark_page(open_page: OpenPage, site: str) -> None:
    brightness = (
        "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).reduce((sum, c) => sum + +c, 0)"
    )
    assert open_page(site, color_scheme="dark").evaluate(brightness) < 150
    assert open_page(site, color_scheme="light").evaluate(brightness) > 600


def test_the_first_tab_stop_leads_past_the_navigation(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/counters/")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.locator(":focus").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Counter 1"


@pytest.mark.parametrize("path", ["/", "/about", "/counters/", "/counters/1"])
def test_the_keyboard_focus_is_always_visible(open_page: OpenPage, site: str, path: str) -> None:
    assert_focus_is_always_visible(open_page(site + path))


def test_a_form_works_without_javascript(open_page: OpenPage, site: str) -> None:
    page = open_page(site, java_script_enabled=False)
    assert not page.get_by_role("button", name="Send forty requests").is_visible()
    page.goto(f"{site}/counters/3")
    assert page.locator("time").inner_text().endswith(" UTC")
    page.get_by_role("button", name="Add one").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Counted to 1"


def test_all_forty_requests_are_answered(open_page: OpenPage, site: str) -> None:
    page = open_page(site)
    page.get_by_role("button", name="Send forty requests").click()
    page.get_by_role("button", name="Send them again").wait_for()
    assert page.get_by_role("status").inner_text().startswith("40 of 40")
    assert len({address for address in page.addresses if "/health?n=" in address}) == 40
    widths = page.locator(".bars i").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert len(widths) == 40
    assert all(width > 0 for width in widths)
    assert_sound(page, site)


def test_a_request_that_fails_is_counted_and_marked(open_page: OpenPage, site: str) -> None:
    page = open_page(site)
    page.route("**/health?n=7&*", lambda route: route.abort())
    page.get_by_role("button", name="Send forty requests").click()
    page.get_by_role("button", name="Send them again").wait_for()
    assert page.get_by_role("status").inner_text().startswith("39 of 40")
    assert page.locator(".bars .failed").count() == 1


@pytest.fixture
def sent(site: str, open_page: OpenPage) -> tuple[Any, list[str]]:
    """A page with a form whose answer never comes, and the methods of what was sent."""
    page = open_page(f"{site}/counters/1")
    methods: list[str] = []

    def take(route: Any) -> None:
        methods.append(route.request.method)
        route.fulfill(status=204)  # the browser stays on the page

    page.route("**/counters/1", take)
    return page, methods


def test_an_impatient_second_click_sends_nothing(sent: tuple[Any, list[str]]) -> None:
    page, methods = sent
    for _ in range(2):
        page.get_by_role("button", name="Add one").click(force=True)  # without asking whether it is disabled
        page.wait_for_timeout(SHORT_WAIT)
    assert methods == ["POST"]
    assert page.get_by_role("button", name="Add one", disabled=True).count() == 1


def test_a_form_can_be_sent_again_when_the_browser_brings_its_page_back(sent: tuple[Any, list[str]]) -> None:
    page, methods = sent
    for _ in range(2):
        page.get_by_role("button", name="Add one", disabled=False).click()
        page.wait_for_timeout(SHORT_WAIT)
        # Chromium has no back-forward cache while it is driven from outside: this is its event.
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert methods == ["POST", "POST"]


def test_times_are_shown_in_the_zone_of_the_reader(open_page: OpenPage, site: str) -> None:
    time = open_page(f"{site}/counters/1", timezone_id="Pacific/Auckland").locator("time")
    moment = datetime.fromisoformat(time.get_attribute("datetime"))
    there = moment.astimezone(ZoneInfo("Pacific/Auckland"))
    assert time.inner_text() == f"{there.day} {there:%B %Y, %H:%M}"
    assert time.get_attribute("title") == f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def test_a_form_without_its_session_explains_what_to_do(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/counters/1")
    page.context.clear_cookies()
    page.get_by_role("button", name="Add one").click()
    page.get_by_role("heading", name="This form has expired").wait_for()
    assert page.get_by_text("Go back, reload the page and send it again.").is_visible()
    assert len(page.locator(".hint code").inner_text()) == 32
