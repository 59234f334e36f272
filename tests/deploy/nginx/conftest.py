"""One nginx for each file that is shipped, in front of the application it is made for."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CHROMIUM, QUIET, open_page, sync_api  # noqa: F401 - open_page is a fixture
from tests.deploy.edge import DOMAIN, Edge, edge
from tests.deploy.nginx.servers import gunicorn, uwsgi
from tests.servers.running import Running


@dataclass(frozen=True)
class Front:
    """A site, the prefix that the application has there, its instance folder and its server."""

    site: Edge
    prefix: str
    base: Path
    server: Running


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """With a short name: a unix socket's path may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="gw-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def run(folder: Path) -> Path:
    (folder / "run").mkdir()
    return folder / "run"


@pytest.fixture(scope="session")
def front(folder: Path, run: Path) -> Iterator[Front]:
    """groundwork.conf in front of Gunicorn."""
    with gunicorn(folder, run / "web.sock", EVENTS_PAUSE=6) as server, edge(folder, run) as site:
        yield Front(site, "", folder, server)


@pytest.fixture(scope="session")
def site(front: Front) -> Edge:
    return front.site


@pytest.fixture(scope="session")
def uwsgi_front(folder: Path, run: Path, front: Front) -> Iterator[Front]:
    """groundwork-uwsgi.conf in front of uWSGI, with the Gunicorn of `front` beside it."""
    with (
        uwsgi(folder, run / "uwsgi.sock") as server,
        edge(folder, run, "groundwork-uwsgi.conf", "default.conf") as site,
    ):
        yield Front(site, "", folder, server)


@pytest.fixture(scope="session")
def prefixes(folder: Path, run: Path) -> Iterator[tuple[Front, Front]]:
    """prefixes.conf in front of two applications."""
    names = ("app1", "app2")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(gunicorn(folder / name, run / f"{name}.sock", APP_NAME=f"Application {name[-1]}"))
            for name in names
        ]
        site = stack.enter_context(edge(folder, run, "prefixes.conf", "default.conf"))
        first, second = (
            Front(site, f"/{name}", folder / name, server) for name, server in zip(names, servers, strict=True)
        )
        yield first, second


@pytest.fixture(scope="session", params=["groundwork.conf", "groundwork-uwsgi.conf", "prefixes.conf"])
def each_front(request: pytest.FixtureRequest) -> Front:
    fixtures = {"groundwork.conf": "front", "groundwork-uwsgi.conf": "uwsgi_front", "prefixes.conf": "prefixes"}
    found: Front | tuple[Front, Front] = request.getfixturevalue(fixtures[request.param])
    return found[0] if isinstance(found, tuple) else found


@pytest.fixture(scope="session")
def closed(folder: Path) -> Iterator[Edge]:
    """groundwork.conf without an application behind it."""
    (folder / "nobody").mkdir()
    with edge(folder, folder / "nobody") as site:
        yield site


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser for which the test's domain is here."""
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    with sync_api.sync_playwright() as playwright:
        here = f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1"
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, here])
        yield chromium
        chromium.close()
