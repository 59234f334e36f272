import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import WORK, flask
from tests.servers import services
from tests.servers.project import Project, stamp_for


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    flask(folder, "db", "upgrade")
    flask(folder, "make-counters", application=WORK)
    return folder / "app.db"


@pytest.fixture
def instance(tmp_path: Path, prepared: Path) -> Path:
    """An instance folder with a migrated database and the counters of benchmarks/work.py."""
    folder = tmp_path / "instance"
    folder.mkdir()
    shutil.copy(prepared, folder / "app.db")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "Grün werk")
    stamp_for(project)
    yield project
    project.kill()


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres() as url:
        yield url


@pytest.fixture
def redis_url() -> Iterator[str]:
    if not services.shutil.which("redis-server"):
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    with services.redis() as url:
        yield url


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    """The same database through PgBouncer with transaction pooling: three connections for all clients."""
    if not services.pgbouncer_binary():
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    with services.pgbouncer(database_url, 3) as url:
        yield url
