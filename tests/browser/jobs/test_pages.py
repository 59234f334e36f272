"""The pages of jobs, as who waits for one and who mends them sees them: at two widths, in light and dark."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, insert

from app.extras.jobs.models import Job
from app.platform.database import utc_now
from tests.browser.conftest import assert_focus_is_always_visible, assert_sound, served, sync_api
from tests.servers.running import wait_until

people = pytest.importorskip("tests.browser.auth.people", reason="without auth there are no admins")
OpenPage = Callable[..., Any]
ERROR = "Traceback (most recent call last):\n  File …\nRuntimeError: " + "the letter could not be delivered " * 8


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("jobs")
    with served(folder, "wsgi") as address:
        people.add_admin(folder)
        engine = create_engine(f"sqlite:///{folder / 'app.db'}")
        parked = {"state": "parked", "attempts": 9, "error": ERROR, "ended_at": utc_now(), "task": "mail.deliver"}
        running = {
            "id": "1" * 32,
            "state": "running",
            "worker": "0123456789abcdef",
            "started": time.time() - 100,
            "progress": 40,
            "said": "posts",
            "task": "account.export.collect",
        }
        with engine.begin() as connection:
            for row in (parked, running, {"id": "2" * 32, "state": "done", "progress": 100, "task": "mail.deliver"}):
                connection.execute(insert(Job).values(due=time.time() + 3600, **row))
        engine.dispose()
        yield address


def test_the_progress_of_a_job_is_a_bar(open_page: OpenPage, site: str, window: dict[str, Any]) -> None:
    page = open_page(f"{site}/jobs/{'1' * 32}", **window)
    assert page.get_by_role("progressbar").get_attribute("value") == "40"
    assert page.get_by_text("posts", exact=True).is_visible()
    assert_sound(page, site)
    page.goto(f"{site}/jobs/{'2' * 32}")
    assert page.get_by_role("heading", level=1).inner_text() == "Done"
    assert_sound(page, site)


def count_looks(page: Any, status: int) -> list[str]:
    """What the page asks for when it looks, which is answered with `status`."""
    asked: list[str] = []

    def answer(route: Any) -> None:
        if route.request.headers.get("accept") != "application/json":
            return route.continue_()
        asked.append(route.request.url)
        said = '{"state": "running", "progress": 41, "said": "posts"}' if status == 200 else '{"status": 503}'
        return route.fulfill(status=status, content_type="application/json", body=said)

    page.route("**/jobs/*", answer)
    return asked


def test_a_server_that_can_not_answer_takes_nobodys_page_away(open_page: OpenPage, site: str) -> None:
    page = open_page("about:blank")
    asked = count_looks(page, 503)
    page.goto(f"{site}/jobs/{'1' * 32}")
    page.evaluate("window.isStillHere = true")
    wait_until(lambda: page.wait_for_timeout(50) or len(asked) >= 2, 15)
    assert page.evaluate("window.isStillHere") is True


def test_a_page_that_nobody_looks_at_asks_nothing(open_page: OpenPage, site: str) -> None:
    page = open_page("about:blank")
    page.add_init_script("Object.defineProperty(document, 'hidden', { get: () => window.isHidden ?? true })")
    asked = count_looks(page, 200)
    page.goto(f"{site}/jobs/{'1' * 32}")
    page.wait_for_timeout(3000)
    assert asked == []
    page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    sync_api.expect(page.locator("progress")).to_have_js_property("value", 41, timeout=5000)
    assert asked


def test_admins_read_why_a_job_failed_and_let_it_be_tried_again(
    open_page: OpenPage, site: str, window: dict[str, Any]
) -> None:
    page = people.log_in(open_page(site, **window), site, "/admin/jobs/")
    assert page.get_by_text("for 1").first.is_visible(), "for how long one is at work"
    page.get_by_text("Why").click()
    assert page.get_by_text("RuntimeError: the letter").is_visible()
    assert_sound(page, site)
    assert_focus_is_always_visible(page)


def test_the_page_of_an_account_leads_to_ones_data(open_page: OpenPage, site: str, window: dict[str, Any]) -> None:
    page = people.log_in(open_page(site, **window), site, "/auth/account")
    page.get_by_role("button", name="Put it together").click()
    page.get_by_text("how far it is").wait_for()
    assert_sound(page, site)
