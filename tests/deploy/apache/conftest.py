"""Apache with each of the two ways to the application, each with a site of its own."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.apache.server import Apache, apache
from tests.deploy.deployed import Deployed
from tests.deploy.edge import DOMAIN, let_nginx_read
from tests.deploy.nginx.conftest import Front
from tests.deploy.nginx.servers import gunicorn
from tests.servers.project import Project, path_with_uv

TOKEN = "0123456789abcdef" * 3
USER = "games"  # any user of this machine that is neither root nor Apache's


@dataclass(frozen=True)
class Way:
    """A site, its instance folder, and what reads the application's access lines."""

    site: Apache
    instance: Path
    log: Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """With a short name: a unix socket's path may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="gw-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def debians_environment(folder: Path) -> Path:
    """As `PYTHON=/usr/bin/python3 scripts/deploy.sh` makes it: mod_wsgi knows this Python only."""
    project = Project(folder / "project", environment_too=False)
    install = 'self=$PWD/scripts/start.sh; . scripts/project.sh; ensure_environment "$@"'
    command = ["bash", "-euc", install, "start.sh", "requirements.txt"]
    environment = project.settings | {"PYTHON": "/usr/bin/python3", "PATH": path_with_uv(folder / "programs")}
    made = subprocess.run(
        command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert made.returncode == 0, made.stderr
    return project.folder / ".venv"


@pytest.fixture(scope="session")
def deployed(folder: Path, debians_environment: Path) -> Deployed:
    log = folder / "wsgi/shared/instance/app.log"
    site = Deployed(folder / "wsgi", TRUSTED_PROXIES=0, TRUSTED_HOSTS=DOMAIN, LOG_FILE=log, METRICS_TOKEN=TOKEN)
    for name in ("one", "two"):
        site.release(name, debians_environment)
    site.point_current_to("one")
    let_nginx_read(site.instance)
    for path in (site.instance, *site.instance.rglob("*")):
        shutil.chown(path, USER)
    return site


@pytest.fixture(scope="session")
def wsgi(folder: Path, deployed: Deployed) -> Iterator[Way]:
    """groundwork-wsgi.conf: Apache runs the application."""
    log = deployed.instance / "app.log"
    with apache("wsgi", deployed.base, folder, user=USER) as site:
        yield Way(site, deployed.instance, lambda: access_lines(log.read_text().splitlines()))


@pytest.fixture(scope="session")
def proxy(folder: Path) -> Iterator[Way]:
    """groundwork-proxy.conf in front of Gunicorn."""
    base = folder / "proxy"
    with gunicorn(base, folder / "web.sock", EVENTS_PAUSE=3) as server, apache("proxy", base, folder) as site:
        yield Way(site, base / "shared/instance", lambda: access_lines(server.lines))


@pytest.fixture(scope="session", params=["wsgi", "proxy"])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def each_front(proxy: Way) -> Front:
    """For the tests of nginx that are right for Apache's proxy, too."""
    return Front(proxy.site, "", proxy.instance.parent.parent, None)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def site(wsgi: Way) -> Apache:
    return wsgi.site


@pytest.fixture(scope="session")
def style(site: Apache) -> str:
    """The address of a static file, as the pages name it."""
    found = re.search(r'href="(/static/css/app\.[0-9a-f]{12}\.css)"', site.get("/").text)
    assert found
    return found[1]


def access_lines(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith("{") and '"logger":"access"' in line]
