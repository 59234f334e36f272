"""A served site, and a browser that remembers what went wrong on its pages."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.running import free_port

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [  # as root in a container, and without calls of the browser's own to other hosts
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 20
EXPECTED_STATUS = ("status of 404 (NOT FOUND)", "status of 422 (UNPROCESSABLE ENTITY)")  # Chromium logs these pages


@contextmanager
def served(instance: Path, application: str, *prepare: str) -> Iterator[str]:
    """The address of `application` with a migrated database, after `flask <prepare>` if something is given."""
    environment = {
        **os.environ,
        "INSTANCE_PATH": str(instance),
        "APP_ENV": "production",
        "DATABASE_URL": "sqlite:///app.db",
    }
    flask = [sys.executable, "-m", "flask", "--app", application]
    for command in filter(None, [("db", "upgrade"), prepare]):
        subprocess.run([*flask, *command], cwd=ROOT, env=environment, check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    with (instance / "server.log").open("wb") as log:
        serve = [sys.executable, "-m", "waitress", f"--listen={address}", f"{application}:app"]
        server = subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://{address}/ready", server, instance / "server.log")
        yield f"http://{address}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < give_up:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - an http address made above
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        else:
            return
        time.sleep(0.1)
    pytest.fail(f"the server did not become ready:\n{log.read_text()}")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the application with the counters of benchmarks/work.py: a list, a form, moments."""
    with served(tmp_path_factory.mktemp("site"), "benchmarks.work", "make-counters") as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a window of its own; keywords are those of Playwright's `new_context`."""
    contexts = []

    def open_(address: str, **window: Any) -> Any:
        contexts.append(browser.new_context(reduced_motion="reduce", **window))
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)
        page.console_errors, page.addresses = [], []
        page.on("console", lambda message: message.type == "error" and page.console_errors.append(message.text))
        page.on("pageerror", lambda error: page.console_errors.append(str(error)))
        page.on("request", lambda request: page.addresses.append(request.url))
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(params=[390, 1280], ids=["telephone", "desk"])
def width(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(params=["light", "dark"])
def window(request: pytest.FixtureRequest, width: int) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": 844}, "color_scheme": request.param}


def assert_sound(page: Any, site: str) -> None:
    assert [error for error in page.console_errors if not error.endswith(EXPECTED_STATUS)] == []
    assert [address for address in page.addresses if not address.startswith((f"{site}/", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate("document.styleSheets.length") == 2
    assert page.locator("h1").count() == 1
    assert_accessible(page)


def assert_accessible(page: Any) -> None:
    """By the rules of axe-core (WCAG 2.2 A and AA, and its best practices), as the page looks right now."""
    found = axe.Axe().run(page).response["violations"]
    assert [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in found] == []


def assert_focus_is_always_visible(page: Any) -> None:
    controls = page.locator(":is(a, button, input, select, textarea, summary, [tabindex='0']):visible").count()
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
        seen.add(focused.evaluate("e => [...document.querySelectorAll('*')].indexOf(e)"))
    assert len(seen) == controls
