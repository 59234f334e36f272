"""Real servers in front of the real application: this part needs root, and what .ci/run installs."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.deploy import rendering
from tests.deploy.containers.fixtures import checkov, docker, image, project  # noqa: F401

FOLDER = Path(__file__).parent
WITH_ENGINE = {"containers", "kubernetes", "cloud", "pipelines"}

NEEDED = ["nginx", "apache2", "systemd-nspawn", "mmdebstrap", "sslscan", "promtool"]
NEEDED += ["dockerd", "ip", "sshd", "certbot", "pebble"]


_read: set[str] = set()  # of what is shipped, by a server of any process of pytest


class ByFolder(LoadScopeScheduling):
    """Side by side runs what shares no set-up: pytest -n 2. (xdist 3.8 has groups, and pytest 9.2 drops them.)"""

    def _split_scope(self, nodeid: str) -> str:
        kind = nodeid.removeprefix("tests/deploy/").partition("/")[0]
        return "engine" if kind in WITH_ENGINE else kind


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    return ByFolder(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.relative_to(FOLDER).parts[0] in WITH_ENGINE:
        item.add_marker(pytest.mark.timeout(600))  # the first one makes the images
    if missing := missing_here():
        item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@functools.cache
def missing_here() -> list[str]:
    return [program for program in NEEDED if not shutil.which(program)] + ["root"] * (os.geteuid() != 0)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says what was measured at the end of the run, also when the test passes."""
    return lambda text: request.node.user_properties.append(("figure", text))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in terminalreporter.stats.get("passed", ()):
        for name, text in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {text}")


def pytest_testnodedown(node: Any) -> None:
    _read.update(getattr(node, "workeroutput", {}).get("read", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What is shipped in deploy/ is what the servers of these tests have read; said when all of them ran."""
    _read.update(rendering.read_by_a_server())
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["read"] = sorted(_read)
        return
    everything = any(Path(argument).resolve() == FOLDER for argument in config.args) and not config.option.keyword
    everything = everything and config.option.markexpr != "alone"
    if everything and not session.testsfailed and (unread := rendering.shipped() - _read):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        config.get_terminal_writer().line(f"\nShipped, and no server has read it: {', '.join(sorted(unread))}")
