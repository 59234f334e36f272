"""Real servers in front of the real application: this part needs root, and what .ci/run installs."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.deploy import rendering

NEEDED = ("nginx", "apache2", "inotifywait", "systemd-nspawn", "mmdebstrap", "sslscan")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [program for program in NEEDED if not shutil.which(program)]
    if os.geteuid() != 0:
        missing.append("root")
    for item in items:
        if missing and "tests/deploy" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))
    items.sort(key=lambda item: "deploy/test_every_file.py" in item.nodeid)  # judges what the others have done


@pytest.fixture(scope="session", autouse=True)
def _watching() -> Iterator[None]:
    yield
    rendering.end_watching()
