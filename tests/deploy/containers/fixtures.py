"""One engine, one copy of the project and one image of it, for containers, Kubernetes, clouds and pipelines."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.containers import images
from tests.deploy.containers.engine import Engine, run
from tests.deploy.containers.project import build, copy_project

Scanner = Callable[..., dict[str, Any]]
CHECKOV = "checkov==3.3.30"


@pytest.fixture(scope="session")
def checkov(tmp_path_factory: pytest.TempPathFactory) -> Scanner:
    """checkov(KIND, FILE...): what the policy scanner says. Its libraries are not ours: it has an environment."""
    venv = tmp_path_factory.mktemp("checkov") / "venv"
    run(sys.executable, "-m", "venv", str(venv))
    run(str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", CHECKOV)

    def scan(kind: str, *files: Path) -> dict[str, Any]:
        scanner = [str(venv / "bin/checkov"), "--skip-download", f"--framework={kind}", "--output=json", "-f"]
        said: dict[str, Any] = json.loads(run(*scanner, *map(str, files), check=False).stdout)
        return said

    return scan


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    with images.loaded_engine() as started:
        yield started


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("box") / "project")


@pytest.fixture(scope="session")
def image(docker: Engine, project: Path) -> str:
    build(docker, project, "groundwork")
    return str(docker.inspect("groundwork")["Id"])  # a release of compose.yaml takes the name
