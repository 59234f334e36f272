from collections.abc import Iterator

import pytest

from tests.browser.auth.people import add_admin
from tests.browser.conftest import served


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site with one admin."""
    folder = tmp_path_factory.mktemp("accounts")
    with served(folder, "wsgi") as address:
        add_admin(folder)
        yield address
