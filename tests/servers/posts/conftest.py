from pathlib import Path

import pytest

from benchmarks.servers import flask


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Overrides the database of all server tests: `instance` has 45 posts here."""
    folder = tmp_path_factory.mktemp("seeded")
    flask(folder, "db", "upgrade")
    flask(folder, "seed", "--count", "45")
    return folder / "app.db"
