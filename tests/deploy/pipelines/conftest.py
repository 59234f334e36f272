"""The repository that a pipeline checks out, and the server that it deploys to."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import ROOT
from tests.deploy.pipelines.runner import Machine
from tests.deploy.pipelines.server import Server
from tests.servers.project import Project

ONE_TEST = "from app import create_app\n\n\ndef test_it_is_there() -> None:\n    assert create_app\n"
FOLDERS = ("unit", "features", "servers", "servers/posts", "browser", "deploy", "deploy/nginx")


@pytest.fixture(scope="package")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project with one test of each kind, so that running them takes seconds. The tag `red` has a bad one."""
    project = Project(tmp_path_factory.mktemp("origin") / "groundwork", environment_too=False)
    for name in ("tests", "benchmarks"):
        shutil.rmtree(project.folder / name)
    (project.folder / "tests").mkdir()
    for name in ("conftest.py", "doctor_record.py"):  # the options of scripts/test.sh
        shutil.copy(ROOT / "tests" / name, project.folder / "tests")
    for name in FOLDERS:
        (project.folder / "tests" / name).mkdir(parents=True, exist_ok=True)
        (project.folder / "tests" / name / "__init__.py").touch()
        (project.folder / "tests" / name / f"test_{'doctor' if 'nginx' in name else 'one'}.py").write_text(ONE_TEST)
    for script in (project.folder / "scripts").glob("*.sh"):
        if script.name not in {"test.sh", "audit.sh", "image.sh", "container.sh", "project.sh"}:
            script.unlink()
    git = ["git", "-C", str(project.folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    bad = project.folder / "tests/unit/test_bad.py"
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"], ["tag", "v1.2.3"]):
        subprocess.run([*git, *command], check=True, timeout=60)
    bad.write_text("def test_bad() -> None:\n    raise ValueError\n")
    for command in (["add", "-A"], ["commit", "-qm", "bad"], ["tag", "red"], ["reset", "-q", "--hard", "v1.2.3"]):
        subprocess.run([*git, *command], check=True, timeout=60)
    return project.folder


@pytest.fixture
def machine(origin: Path, tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "machine", origin)
    made.before_each_run(lend_environment)
    made.environment["MYPY_CACHE_DIR"] = str(ROOT / ".mypy_cache")  # warm, where the linters have run before
    return made


def lend_environment(workspace: Path) -> None:
    """This one, as if it had been installed there."""
    venv = workspace / ".venv"
    venv.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != "installed":
            (venv / part.name).symlink_to(part)
    locks = ("requirements.txt", "requirements-dev.txt", "requirements-uwsgi.txt")
    texts = [(workspace / name).read_text() for name in locks]
    (venv / "installed").write_text(f"# {workspace}\n{''.join(texts)}")


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="gw-server-"))
    made = Server(folder)
    try:
        first = made.first_deploy()
        assert first.returncode == 0, first.stderr
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def root() -> Path:
    return ROOT
