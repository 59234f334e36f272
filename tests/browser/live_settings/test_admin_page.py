"""What an admin does on /admin/live-settings/ and all visitors then see: at two widths, in light and dark."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import assert_focus_is_always_visible, assert_sound, served

people = pytest.importorskip("tests.browser.auth.people", reason="without auth there are no admins")
OpenPage = Callable[..., Any]
PAGE = "/admin/live-settings/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with served(folder, "wsgi") as address:
        people.add_admin(folder)
        yield address


@pytest.fixture(autouse=True)
def _as_before(folder: Path) -> Iterator[None]:
    yield
    (folder / "live.toml").unlink(missing_ok=True)


@pytest.fixture
def admin(open_page: OpenPage, site: str, window: dict[str, Any]) -> Any:
    page = people.log_in(open_page(site, **window), site, PAGE)
    page.reload()  # which looks at the file: the test before has taken it away
    return page


def test_the_page_is_sound(admin: Any, site: str) -> None:
    assert_sound(admin, site)


def test_maintenance_closes_the_site_for_others_and_says_so_to_the_admin(
    admin: Any, open_page: OpenPage, site: str, window: dict[str, Any]
) -> None:
    admin.get_by_label("What the others read").fill("We move to a larger machine.\nBack at five.")
    admin.get_by_label("Only admins get in").check()
    admin.get_by_role("button", name="Save maintenance").click()
    admin.get_by_text("Saved, and in force").wait_for()
    admin.goto(f"{site}/about")
    assert admin.get_by_role("complementary", name="Maintenance").is_visible()
    assert_sound(admin, site)

    visitor = open_page(f"{site}/about", **window)
    assert visitor.get_by_role("heading", level=1).inner_text() == "In maintenance"
    assert visitor.get_by_text("Back at five.").is_visible()
    visitor.console_errors.clear()  # Chromium logs the status 503
    assert_sound(visitor, site)

    admin.get_by_role("link", name="Change that").click()
    admin.get_by_label("Only admins get in").uncheck()
    admin.get_by_role("button", name="Save maintenance").click()
    admin.get_by_text("Saved, and in force").wait_for()
    visitor.get_by_role("link", name="Try again").click()
    visitor.get_by_role("heading", name="About").wait_for()


def test_a_banner_is_on_every_page(admin: Any, open_page: OpenPage, site: str, window: dict[str, Any]) -> None:
    admin.get_by_label("On every page").fill(
        "On Sunday from 5 to 6 nothing can be saved, because we move to a new machine."
    )
    admin.get_by_label("It is").select_option("warning")
    admin.get_by_role("button", name="Save banner").click()
    admin.get_by_text("Saved, and in force").wait_for()
    assert_sound(admin, site)
    for path in ("/", "/nothing-here"):
        visitor = open_page(site + path, **window)
        assert visitor.get_by_role("complementary", name="Announcement").is_visible()
        assert_sound(visitor, site)


def test_flags_and_levels_are_switched(admin: Any, site: str) -> None:
    admin.get_by_label("loud-greeting").check()
    admin.get_by_role("button", name="Save flags").click()
    admin.get_by_label("Logger").fill("sqlalchemy.engine")
    admin.get_by_role("button", name="Set level").click()
    admin.get_by_role("button", name="Take away the level of sqlalchemy.engine").wait_for()
    assert_sound(admin, site)
    admin.get_by_role("button", name="Take away the level of sqlalchemy.engine").click()
    admin.get_by_text("Saved, and in force").wait_for()
    admin.goto(f"{site}/tour/?name=Ada")
    assert admin.get_by_role("heading", level=1).inner_text() == "Hello, Ada!"


def test_a_fault_in_the_file_is_shown_with_its_line(admin: Any, site: str, folder: Path) -> None:
    (folder / "live.toml").write_text("[maintenance]\non = 1\n")
    admin.reload()
    assert admin.get_by_role("alert").get_by_text("line 2: maintenance.on must be a valid boolean").is_visible()
    assert_sound(admin, site)


def test_the_keyboard_focus_is_always_visible(open_page: OpenPage, site: str) -> None:
    assert_focus_is_always_visible(people.log_in(open_page(site), site, PAGE))


def test_it_works_without_javascript(open_page: OpenPage, site: str) -> None:
    page = people.log_in(open_page(site, java_script_enabled=False), site, PAGE)
    page.get_by_label("On every page").fill("Hello.")
    page.get_by_role("button", name="Save banner").click()
    assert page.get_by_role("complementary", name="Announcement").inner_text() == "Hello."
