import shutil
from pathlib import Path

import pytest

from benchmarks.servers import flask


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeded")
    flask(folder, "db", "upgrade")
    flask(folder, "seed", "--count", "45")
    return folder / "app.db"


@pytest.fixture
def instance(tmp_path: Path, seeded: Path) -> Path:
    """An instance folder with a migrated database and 45 posts."""
    folder = tmp_path / "instance"
    folder.mkdir()
    shutil.copy(seeded, folder / "app.db")
    return folder
