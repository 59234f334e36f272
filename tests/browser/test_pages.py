"""What a reader sees and can do: at two widths, in light and dark, with keyboard, with and without JavaScript."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

OpenPage = Callable[..., Any]
PAGES = {
    "home": "/",
    "about": "/about",
    "posts": "/posts/",
    "older posts": "/posts/?before=10",
    "post": "/posts/1",
    "new post": "/posts/new",
    "not found": "/nothing-here",
}
EXPECTED_STATUS = ("status of 404 (NOT FOUND)", "status of 422 (UNPROCESSABLE ENTITY)")  # Chromium logs these pages
SHORT_WAIT = 300  # milliseconds, for a second request that must not come


def assert_sound(page: Any, site: str) -> None:
    assert [error for error in page.console_errors if not error.endswith(EXPECTED_STATUS)] == []
    assert [address for address in page.addresses if not address.startswith((f"{site}/", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate("document.styleSheets.length") == 2
    assert page.locator("h1").count() == 1


@pytest.fixture(params=[390, 1280], ids=["telephone", "desk"])
def width(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(params=["light", "dark"])
def window(request: pytest.FixtureRequest, width: int) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": 844}, "color_scheme": request.param}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_window_and_breaks_no_policy(open_page: OpenPage, site: str, window: dict, name: str) -> None:
    assert_sound(open_page(site + PAGES[name], **window), site)


def test_an_empty_list_invites_to_write_the_first_post(open_page: OpenPage, empty_site: str, window: dict) -> None:
    page = open_page(f"{empty_site}/posts/", **window)
    page.get_by_role("link", name="Write a post").wait_for()
    assert page.get_by_role("heading", name="There are no posts yet").is_visible()
    assert_sound(page, empty_site)


def test_a_wrong_form_keeps_what_was_typed_and_marks_the_field(open_page: OpenPage, site: str, window: dict) -> None:
    page = open_page(f"{site}/posts/new", **window)
    page.get_by_label("Title").fill("A title that stays")
    page.get_by_role("button", name="Publish").click()
    text = page.get_by_label("Text")
    page.locator("textarea[aria-invalid=true]").wait_for()
    assert page.get_by_label("Title").input_value() == "A title that stays"
    assert page.locator(f"#{text.get_attribute('aria-describedby')}").inner_text() == "Write something."
    assert text.evaluate("field => field === document.activeElement")
    assert_sound(page, site)


def test_dark_readers_get_a_dark_page(open_page: OpenPage, site: str) -> None:
    brightness = (
        "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).reduce((sum, c) => sum + +c, 0)"
    )
    assert open_page(site, color_scheme="dark").evaluate(brightness) < 150
    assert open_page(site, color_scheme="light").evaluate(brightness) > 600


def test_the_first_tab_stop_leads_past_the_navigation(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/posts/")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.locator(":focus").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Write a post"


@pytest.mark.parametrize("path", ["/", "/posts/new", "/posts/1"])
def test_the_keyboard_focus_is_always_visible(open_page: OpenPage, site: str, path: str) -> None:
    page = open_page(site + path)
    controls = page.locator("a:visible, button:visible, input:visible, textarea:visible").count()
    seen = set()
    for _ in range(controls + 1):  # one more, because the round leads through the browser itself
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not focused.count():
            continue
        style, thickness = focused.evaluate(
            "e => [getComputedStyle(e).outlineStyle, parseFloat(getComputedStyle(e).outlineWidth)]"
        )
        assert (style, thickness) >= ("solid", 2), focused.evaluate("e => e.outerHTML")
        seen.add(focused.evaluate("e => e.outerHTML"))
    assert len(seen) == controls


def test_a_post_can_be_written_without_javascript(open_page: OpenPage, site: str) -> None:
    page = open_page(site, java_script_enabled=False)
    assert not page.get_by_role("button", name="Send forty requests").is_visible()
    page.get_by_role("link", name="Posts", exact=True).click()
    page.get_by_role("link", name="Write a post").click()
    page.get_by_label("Title").fill("By hand")
    page.get_by_label("Text").fill("One line.\n<b>Another</b> line.")
    page.get_by_role("button", name="Publish").click()
    assert page.get_by_role("status").inner_text() == "Your post is published."
    assert page.get_by_role("heading", level=1).inner_text() == "By hand"
    assert page.get_by_text("<b>Another</b> line.").is_visible()
    assert page.locator("time").inner_text().endswith(" UTC")
    page.get_by_role("button", name="Applaud").click()
    assert page.get_by_role("button", name="Applaud · 1").is_visible()


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
    page = open_page(f"{site}/posts/1")
    methods: list[str] = []

    def take(route: Any) -> None:
        methods.append(route.request.method)
        route.fulfill(status=204)  # the browser stays on the page

    page.route("**/applause", take)
    return page, methods


def test_an_impatient_second_click_sends_nothing(sent: tuple[Any, list[str]]) -> None:
    page, methods = sent
    for _ in range(2):
        page.get_by_role("button", name="Applaud").click(force=True)  # without asking whether it is disabled
        page.wait_for_timeout(SHORT_WAIT)
    assert methods == ["POST"]
    assert page.get_by_role("button", name="Applaud", disabled=True).count() == 1


def test_a_form_can_be_sent_again_when_the_browser_brings_its_page_back(sent: tuple[Any, list[str]]) -> None:
    page, methods = sent
    for _ in range(2):
        page.get_by_role("button", name="Applaud", disabled=False).click()
        page.wait_for_timeout(SHORT_WAIT)
        # Chromium has no back-forward cache while it is driven from outside: this is its event.
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert methods == ["POST", "POST"]


def test_times_are_shown_in_the_zone_of_the_reader(open_page: OpenPage, site: str) -> None:
    time = open_page(f"{site}/posts/1", timezone_id="Pacific/Auckland").locator("time")
    moment = datetime.fromisoformat(time.get_attribute("datetime"))
    there = moment.astimezone(ZoneInfo("Pacific/Auckland"))
    assert time.inner_text() == f"{there.day} {there:%B %Y, %H:%M}"
    assert time.get_attribute("title") == f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def test_the_list_leads_to_older_posts_and_back(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/posts/")
    for _ in range(2):
        page.get_by_role("link", name="Older →").click()
    page.get_by_role("link", name="Forty requests at once (1)").wait_for()
    assert page.get_by_role("link", name="Older →").count() == 0
    page.get_by_role("link", name="← Newest").click()
    page.get_by_role("heading", name="Posts", exact=True).wait_for()


def test_a_form_without_its_session_explains_what_to_do(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/posts/1")
    page.context.clear_cookies()
    page.get_by_role("button", name="Applaud").click()
    page.get_by_role("heading", name="This form has expired").wait_for()
    assert page.get_by_text("Go back, reload the page and send it again.").is_visible()
    assert len(page.locator(".hint code").inner_text()) == 32
