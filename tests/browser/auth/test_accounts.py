"""Accounts in a browser: at two widths, in light and dark, with keyboard, with and without JavaScript."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.auth.people import NAME, PASSWORD, log_in
from tests.browser.conftest import assert_focus_is_always_visible, assert_sound

OpenPage = Callable[..., Any]
FOR_ALL = {"log in": "/auth/login", "register": "/auth/register", "API": "/api/docs", "tour": "/tour/?name=%3Cb%3EAda"}
FOR_MEMBERS = {"account": "/auth/account", "tokens": "/auth/account/tokens"}
FOR_ADMINS = {"status": "/admin/", "users": "/admin/users", "no users": "/admin/users?q=zzz"}


@pytest.mark.parametrize("name", FOR_ALL)
def test_a_page_for_all_is_sound(open_page: OpenPage, site: str, window: dict, name: str) -> None:
    assert_sound(open_page(site + FOR_ALL[name], **window), site)


@pytest.mark.parametrize("name", FOR_MEMBERS | FOR_ADMINS)
def test_a_page_for_members_is_sound(open_page: OpenPage, site: str, window: dict, name: str) -> None:
    page = open_page(site, **window)
    assert_sound(log_in(page, site, (FOR_MEMBERS | FOR_ADMINS)[name]), site)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/api/docs"])
def test_the_keyboard_focus_is_always_visible(open_page: OpenPage, site: str, path: str) -> None:
    assert_focus_is_always_visible(open_page(site + path))


@pytest.mark.parametrize("path", (FOR_MEMBERS | FOR_ADMINS).values())
def test_the_keyboard_focus_is_always_visible_for_members(open_page: OpenPage, site: str, path: str) -> None:
    assert_focus_is_always_visible(log_in(open_page(site), site, path))


def test_an_account_lives_without_javascript(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/auth/account", java_script_enabled=False)
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Name").fill("Grace")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create the account").click()
    assert page.get_by_label("Name").input_value() == "grace"
    field = page.get_by_label("Password")
    assert page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text() == "Use at least 8 characters."
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()
    assert page.url == f"{site}/auth/account"
    assert page.get_by_role("status").inner_text() == "Welcome, grace. You are logged in."
    assert page.get_by_text("Chrome on Linux").count() == 1
    page.get_by_label("Current password").fill("wrong")
    page.get_by_label("New password").fill("another long one")
    page.get_by_role("button", name="Change it").click()
    assert page.get_by_text("This is not your password.").is_visible()
    page.get_by_role("navigation", name="Main").get_by_role("button", name="Log out").click()
    assert page.get_by_role("status").inner_text() == "You are logged out."
    assert page.get_by_role("link", name="Log in").is_visible()


def test_a_wrong_log_in_keeps_the_name_and_leads_to_the_password(open_page: OpenPage, site: str, window: dict) -> None:
    page = open_page(f"{site}/auth/login", **window)
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.locator("input[aria-invalid=true]").wait_for()
    assert page.get_by_label("Name").input_value() == NAME
    assert page.get_by_label("Password").evaluate("field => field === document.activeElement")
    assert_sound(page, site)


def test_the_last_log_in_is_remembered_in_this_browser(open_page: OpenPage, site: str) -> None:
    page = log_in(open_page(site), site, "/about")
    page.get_by_role("navigation", name="Main").get_by_role("button", name="Log out").click()
    page.goto(f"{site}/auth/login")
    assert re.search(rf"Last log-in in this browser: {NAME}, \d+ \w+ \d{{4}}", page.locator("main").inner_text())


def test_a_token_is_shown_once(open_page: OpenPage, site: str) -> None:
    page = log_in(open_page(site), site, "/auth/account/tokens")
    page.get_by_label("What is it for?").fill("a script")
    page.get_by_role("button", name="Make the token").click()
    assert page.locator(".flash code").inner_text().startswith("gw_")
    assert_sound(page, site)
    page.goto(f"{site}/auth/account/tokens")
    assert page.locator(".flash").count() == 0
    page.get_by_role("button", name="Revoke a script").first.click()
    assert page.get_by_role("status").inner_text() == "The token is revoked. It opens nothing any more."
