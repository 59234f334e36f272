"""What a cloud gets: a copy of the project, with a page that takes its time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.project import Project


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("bundle") / "groundwork")
    wsgi, made = project.folder / "wsgi.py", "app = application = create_app()"
    assert made in wsgi.read_text()
    wsgi.write_text(wsgi.read_text().replace(made, "from benchmarks.work import app\n\n    application = app"))
    return project


@pytest.fixture
def settings(bundle: Project, tmp_path: Path) -> dict[str, str]:
    """What a platform sets beside the variables that it is told."""
    known = {name: value for name, value in bundle.settings.items() if name not in {"JOBS", "INSTANCE_PATH"}}
    path = f"{bundle.folder}/.venv/bin:{known['PATH']}"
    return known | {"PATH": path, "INSTANCE_PATH": str(tmp_path / "instance"), "WEB_CONCURRENCY": "2"}
