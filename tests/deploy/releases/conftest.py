"""One site for all of these tests: its first deploy alone takes ten seconds."""

import os
from collections.abc import Iterator

import pytest

from tests.deploy.releases.site import Site
from tests.servers.running import free_port


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("releases")
    made = Site(folder, folder / "sité with space", free_port())
    first = made.deploy()
    assert first.returncode == 0, first.stderr
    yield made
    made.stop()


@pytest.fixture
def unchanged(site: Site) -> Iterator[None]:
    """Whatever the test does: the same release serves, no half one and no lock is left."""
    before, releases = site.current, site.releases
    yield
    assert (site.current, site.releases) == (before, releases)
    assert site.ready()["version"] == before
    assert not os.path.lexists(site.base / "deploy.lock")
