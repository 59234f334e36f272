from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deploy import machine
from tests.deploy.machine import BASE, Machine
from tests.deploy.systemd.site import Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "deploy/systemd" in item.nodeid:
            item.add_marker(pytest.mark.timeout(600))  # the first of them makes the image: two downloads


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installed site behind nginx. Each test leaves it serving the release "first" with plain settings."""
    with machine.booted() as host:
        yield Site(host, tmp_path_factory.mktemp("authority"))


@pytest.fixture
def fresh() -> Iterator[Machine]:
    """A machine with a deployed release, on which nothing is installed yet."""
    with deployed() as host:
        yield host


@pytest.fixture(scope="module")
def untouched() -> Iterator[Machine]:
    """As `fresh`, for tests that change nothing."""
    with deployed() as host:
        yield host


@contextmanager
def deployed() -> Iterator[Machine]:
    with machine.booted() as host:
        host.path(f"{BASE}/shared/instance").mkdir(parents=True)
        host.release("first")
        host.switch_to("first")
        host.run(".venv/bin/flask", "--app", "wsgi", "db", "upgrade", cwd=f"{BASE}/current")
        yield host
