from collections.abc import Iterator

import pytest

from tests.browser.auth.people import add_admin
from tests.browser.conftest import served


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site with 45 posts, three pages of them, and one admin."""
    folder = tmp_path_factory.mktemp("posts")
    with served(folder, "wsgi", "seed", "--count", "45") as address:
        add_admin(folder)
        yield address


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("empty_site"), "wsgi") as address:
        yield address
