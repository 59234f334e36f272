"""A served site with posts, one without, and a browser that remembers what went wrong on its pages."""

import os
import shutil
import socket
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

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

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


@contextmanager
def _served(instance: Path, posts: int) -> Iterator[str]:
    environment = {
        **os.environ,
        "INSTANCE_PATH": str(instance),
        "APP_ENV": "production",
        "DATABASE_URL": "sqlite:///app.db",
    }
    flask = [sys.executable, "-m", "flask", "--app", "wsgi"]
    subprocess.run([*flask, "db", "upgrade"], cwd=ROOT, env=environment, check=True, capture_output=True)
    if posts:
        subprocess.run(
            [*flask, "seed", "--count", str(posts)], cwd=ROOT, env=environment, check=True, capture_output=True
        )
    with socket.create_server(("127.0.0.1", 0)) as spare:
        address = f"127.0.0.1:{spare.getsockname()[1]}"
    with (instance / "server.log").open("wb") as log:
        serve = [sys.executable, "-m", "waitress", f"--listen={address}", "wsgi:app"]
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
    """The address of a site with 45 posts: three pages of them."""
    with _served(tmp_path_factory.mktemp("site"), posts=45) as address:
        yield address


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _served(tmp_path_factory.mktemp("empty_site"), posts=0) as address:
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
