"""Reading and writing posts in a browser: at two widths, in light and dark, with keyboard, without JavaScript."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.browser.auth.people import log_in
from tests.browser.conftest import ROOT, assert_focus_is_always_visible, assert_sound

OpenPage = Callable[..., Any]
PAGES = {
    "posts": "/posts/",
    "older posts": "/posts/?before=10",
    "found": "/posts/?q=forty",
    "not found": "/posts/?q=zzz",
    "popular": "/posts/popular",
    "post": "/posts/1",
}
FOR_MEMBERS = {"new post": "/posts/new", "posts of the administration": "/admin/posts/"}
PICTURE = ROOT / "docs/img/home.png"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_window_and_breaks_no_policy(open_page: OpenPage, site: str, window: dict, name: str) -> None:
    assert_sound(open_page(site + PAGES[name], **window), site)


@pytest.mark.parametrize("name", FOR_MEMBERS)
def test_a_page_for_members_is_sound(open_page: OpenPage, site: str, window: dict, name: str) -> None:
    assert_sound(log_in(open_page(site, **window), site, FOR_MEMBERS[name]), site)


def test_a_post_with_an_image_is_sound(open_page: OpenPage, site: str, window: dict) -> None:
    page = log_in(open_page(site, **window), site, "/posts/new")
    page.get_by_label("Title").fill("A title that is rather long, so that it has to wrap on a telephone")
    page.get_by_label("Text").fill("Some text.\n\nMore of it.")
    page.get_by_label("Image").set_input_files(PICTURE)
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("status").wait_for()
    assert page.locator("main img").evaluate("image => image.naturalWidth") > 0
    assert_sound(page, site)
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Remove the image").wait_for()
    assert_sound(page, site)


def test_an_empty_list_invites_to_write_the_first_post(open_page: OpenPage, empty_site: str, window: dict) -> None:
    page = open_page(f"{empty_site}/posts/", **window)
    page.get_by_role("link", name="Write a post").wait_for()
    assert page.get_by_role("heading", name="There are no posts yet").is_visible()
    assert_sound(page, empty_site)


def test_a_wrong_form_keeps_what_was_typed_and_marks_the_field(open_page: OpenPage, site: str, window: dict) -> None:
    page = log_in(open_page(site, **window), site, "/posts/new")
    page.get_by_label("Title").fill("A title that stays")
    page.get_by_role("button", name="Publish").click()
    text = page.get_by_label("Text")
    page.locator("textarea[aria-invalid=true]").wait_for()
    assert page.get_by_label("Title").input_value() == "A title that stays"
    assert page.locator(f"#{text.get_attribute('aria-describedby')}").inner_text() == "Write something."
    assert text.evaluate("field => field === document.activeElement")
    assert_sound(page, site)


def test_the_first_tab_stop_leads_past_the_navigation(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/posts/")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.locator(":focus").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Popular"


@pytest.mark.parametrize("path", ["/posts/", "/posts/new", "/posts/1"])
def test_the_keyboard_focus_is_always_visible(open_page: OpenPage, site: str, path: str) -> None:
    assert_focus_is_always_visible(log_in(open_page(site), site, path))


def test_a_post_lives_without_javascript(open_page: OpenPage, site: str) -> None:
    page = open_page(site, java_script_enabled=False)
    page.get_by_role("link", name="Posts", exact=True).click()
    page.get_by_role("link", name="Write a post").click()
    log_in(page, site, "/posts/new")
    page.get_by_label("Title").fill("By hand")
    page.get_by_label("Text").fill("One line.\n<b>Another</b> line.")
    page.get_by_role("button", name="Publish").click()
    assert page.get_by_role("status").inner_text() == "Your post is published."
    assert page.get_by_role("heading", level=1).inner_text() == "By hand"
    assert page.get_by_text("<b>Another</b> line.").is_visible()
    assert page.locator("time").inner_text().endswith(" UTC")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Title").fill("By both hands")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_role("heading", level=1).inner_text() == "By both hands"
    page.get_by_text("Delete …").click()
    page.get_by_role("button", name="Delete it for good").click()
    assert page.get_by_role("status").inner_text() == "The post is deleted."


def test_a_text_survives_a_log_in_that_ends_while_it_is_typed(open_page: OpenPage, site: str) -> None:
    page = log_in(open_page(site), site, "/posts/new")
    page.get_by_label("Title").fill("A long story")
    page.get_by_label("Text").fill("It took an hour.")
    elsewhere = page.context.new_page()
    elsewhere.goto(f"{site}/auth/account")
    elsewhere.get_by_role("button", name="Log out everywhere").click()
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("heading", name="Log in").wait_for()
    log_in(page, site, "/posts/new")
    assert page.get_by_label("Text").input_value() == "It took an hour."
    page.get_by_role("button", name="Publish").click()
    assert page.get_by_role("heading", level=1).inner_text() == "A long story"
    page.goto(f"{site}/posts/new")
    assert page.get_by_label("Title").input_value() == ""


def test_a_draft_is_not_shown_to_the_next_user_of_the_tab(open_page: OpenPage, site: str) -> None:
    page = log_in(open_page(site), site, "/posts/new")
    page.get_by_label("Title").fill("A private thought")
    page.context.clear_cookies()
    page.goto(f"{site}/auth/register?next=/posts/new")
    page.get_by_label("Name").fill("grace")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Create the account").click()
    page.wait_for_url(f"{site}/posts/new")
    assert page.get_by_label("Title").input_value() == ""


def test_a_search_finds_by_the_beginning_of_a_word(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/posts/")
    page.get_by_label("Search the titles").fill("reload los")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Found").wait_for()
    assert page.locator(".entry").count() == 9


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
