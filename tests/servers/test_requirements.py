"""The lock files: current, without an index inside, and installable on every platform without a compiler."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import ROOT

LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-uwsgi.txt"]
LOCKS += ["requirements-otel.txt", "requirements-skywalking.txt", "requirements-sentry.txt", "requirements-windows.txt"]
UV = str(Path(sys.executable).with_name("uv"))


def index_settings() -> dict[str, str]:
    """The index that the user set for pip, as the scripts hand it to uv."""
    said = subprocess.run(
        [sys.executable, str(ROOT / "scripts/pip_index.py")], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    words = [shlex.split(line)[1] for line in said.splitlines() if not line.endswith("}")]
    return os.environ | {"UV_INDEX_STRATEGY": "unsafe-best-match"} | dict(word.split("=", 1) for word in words)


@pytest.mark.parametrize("platform", ["linux", "aarch64-unknown-linux-gnu", "macos", "windows"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_everything_installs_as_a_wheel(platform: str, python: str, tmp_path: Path) -> None:
    command = [UV, "pip", "install", "--dry-run", "--quiet", "--only-binary", ":all:", "--require-hashes"]
    command += ["--python-platform", platform, "--python-version", python, "--target", str(tmp_path / "target")]
    completed = subprocess.run(
        [*command, "-r", "requirements.txt"],
        cwd=ROOT, env=index_settings(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_hashes_everything(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith(("#", " "))]
    assert pins
    assert all(line.endswith("\\") for line in pins), "each pin is followed by its hashes"


def test_the_locks_are_what_lock_sh_writes(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    for name in ["scripts/lock.sh", "scripts/project.sh", "scripts/pip_index.py"]:
        shutil.copy(ROOT / name, folder / name)
    for name in [*LOCKS, *(lock.replace(".txt", ".in") for lock in LOCKS)]:
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    stamp = f"# {folder}\n" + "".join((folder / lock).read_text() for lock in LOCKS[:2])
    (folder / ".venv/installed").write_text(stamp)
    subprocess.run(["bash", str(folder / "scripts/lock.sh")], check=True, timeout=180, env=index_settings())
    for lock in LOCKS:
        assert (folder / lock).read_text() == (ROOT / lock).read_text(), f"{lock}: run scripts/lock.sh"
