"""How scripts/start.sh makes its Python environment, and what it says when it can not."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import ROOT
from tests.servers.project import NOT_COPIED
from tests.servers.running import free_port

PYTHONS = ("python", "pip", "uv", "pypy")
UV = Path(sys.executable).with_name("uv")  # that of requirements-dev.txt


@pytest.fixture
def folder() -> Iterator[Path]:
    """A copy of the project that another user may enter too, without an environment."""
    parent = Path(tempfile.mkdtemp(prefix="groundwork clone ü "))
    parent.chmod(0o755)
    shutil.copytree(ROOT, parent / "clone", ignore=NOT_COPIED)
    yield parent / "clone"
    shutil.rmtree(parent)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with everything but Python and uv."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for program in [*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()]:
        if not program.name.startswith(PYTHONS) and not (tools / program.name).exists():
            (tools / program.name).symlink_to(program)
    return tools


def start(folder: Path, tools: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_", "HOME"))}
    return subprocess.run(
        ["bash", str(folder / "scripts/start.sh"), "-d", "-p", str(free_port()), *options],
        env=kept | {"PATH": str(tools)} | settings,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def stop(folder: Path, tools: Path) -> None:
    command = ["bash", str(folder / "scripts/stop.sh")]
    subprocess.run(command, env={"PATH": str(tools)}, check=True, timeout=60, capture_output=True)


def program(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_missing_python_is_named_with_the_remedy(folder: Path, tools: Path) -> None:
    completed = start(folder, tools)
    assert completed.returncode == 1
    assert "no Python 3.11 or later was found" in completed.stderr
    assert "apt-get install python3" in completed.stderr
    assert not (folder / ".venv").exists()


def test_an_old_python_does_not_count(folder: Path, tools: Path) -> None:
    program(tools / "python3", "exit 1")
    assert "no Python 3.11 or later was found" in start(folder, tools).stderr


def test_debians_missing_venv_package_is_named(folder: Path, tools: Path) -> None:
    program(tools / "python3", f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"')
    completed = start(folder, tools)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert completed.returncode == 1
    assert f"apt-get install python{version}-venv" in completed.stderr
    assert not (folder / ".venv").exists()


def test_a_dependency_with_another_hash_is_refused_and_nothing_is_left_half_made(folder: Path, tools: Path) -> None:
    (tools / "uv").symlink_to(UV)
    lock = folder / "requirements.txt"
    lock.write_text("blinker==1.9.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    completed = start(folder, tools, PYTHON=sys.executable)
    assert completed.returncode == 1
    assert "the environment could not be installed" in completed.stderr
    assert not (folder / ".venv").exists()
    assert not (folder / ".venv.lock").exists()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("installer", ["uv", "pip", "a uv that does not run"])
def test_a_clean_clone_installs_once_and_not_again(folder: Path, tools: Path, installer: str) -> None:
    if installer == "uv":
        (tools / "uv").symlink_to(UV)
    elif installer != "pip":  # as the one of pyenv, where another version of Python has uv
        program(tools / "uv", "echo 'uv: command not found' >&2; exit 127")
    first = start(folder, tools, PYTHON=sys.executable)
    assert first.returncode == 0, first.stderr
    assert "Installing requirements.txt" in first.stderr
    stop(folder, tools)
    again = start(folder, tools, PYTHON=sys.executable)
    assert again.returncode == 0, again.stderr
    assert "Installing" not in again.stderr
    stop(folder, tools)


@pytest.mark.parametrize(("before", "now"), [(0o027, 0o022), (0o022, 0o027)], ids=["private first", "for all first"])
def test_the_environment_has_the_rights_of_this_umask_and_not_of_an_earlier_one(
    folder: Path, tools: Path, tmp_path: Path, before: int, now: int
) -> None:
    """uv's cache has those under which it was filled: https://github.com/astral-sh/uv/issues/17867."""
    (tools / "uv").symlink_to(UV)
    lock = folder / "requirements.txt"
    found = re.search(r"^python-dotenv==.*(\n    .*)+", lock.read_text(), re.MULTILINE)  # a package, and a program
    assert found
    lock.write_text(found[0])
    install = "self=$PWD/scripts/start.sh; . scripts/project.sh; ensure_environment requirements.txt"
    environment = os.environ | {"PATH": str(tools), "PYTHON": sys.executable, "UV_CACHE_DIR": str(tmp_path / "cache")}
    for umask in (before, now):
        shutil.rmtree(folder / ".venv", ignore_errors=True)
        subprocess.run(["bash", "-euc", install], cwd=folder, env=environment, umask=umask, check=True, timeout=60)
    rights = {path: path.stat().st_mode & 0o777 for path in (folder / ".venv").rglob("*") if not path.is_symlink()}
    wrong = {path: oct(mode) for path, mode in rights.items() if mode not in (0o777 & ~now, 0o666 & ~now)}
    assert not wrong
    assert rights[next((folder / ".venv").glob("lib/*/site-packages/dotenv/main.py"))] == 0o666 & ~now
    assert rights[folder / ".venv/bin/dotenv"] == rights[folder / ".venv/lib"] == 0o777 & ~now


def test_a_folder_that_can_not_be_written_is_named(folder: Path, tools: Path) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if as_nobody and not shutil.which("setpriv"):
        pytest.skip("setpriv is missing: as root every folder can be written")
    (folder / "requirements.txt").chmod(0o444)
    folder.chmod(0o555)
    completed = subprocess.run(
        [*as_nobody, "bash", str(folder / "scripts/start.sh")],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    folder.chmod(0o755)
    assert completed.returncode == 1
    assert f"the folder {folder} can not be written" in completed.stderr
    assert not (folder / ".venv").exists()


def test_two_first_starts_install_once(folder: Path, tools: Path) -> None:
    (tools / "uv").symlink_to(UV)
    code = 'set -euo pipefail; self=$1/scripts/start.sh; cd "$1"; . scripts/project.sh; '
    code += "ensure_environment requirements.txt"
    environment = os.environ | {"PYTHON": sys.executable}
    starts = [
        subprocess.Popen(["bash", "-c", code, "-", str(folder)], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in starts]
    assert [process.returncode for process in starts] == [0, 0], said
    assert sum("Installing" in text for text in said) == 1
