"""What is shipped in deploy/ is what the servers of these tests have read."""

import pytest

from tests.deploy import rendering


def test_every_shipped_file_was_read_by_a_real_server(request: pytest.FixtureRequest) -> None:
    if len({item.path for item in request.session.items}) < 2:
        pytest.skip("only says something after the other tests of this folder")
    assert rendering.shipped() - rendering.read_by_a_server() == set()
