"""The rule of the house: a feature goes with its folder, its tests' folders and its line in create_app."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment
from tests.servers.project import NOT_COPIED

FOLDERS = ("app/posts", "tests/features/posts", "tests/servers/posts", "tests/browser/posts")


@pytest.fixture(scope="module")
def without_posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without the example feature. Its migration stays: data is not code."""
    copy = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    for folder in FOLDERS:
        shutil.rmtree(copy / folder)
    factory = copy / "app/__init__.py"
    line = r"^ *posts\.init_app\(.*\)\n"
    imported = r"\bposts, |, posts\b"
    factory.write_text(re.sub(f"{line}|{imported}", "", factory.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert "posts" not in factory.read_text(encoding="utf-8")
    return copy


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    "command",
    [
        ["pytest", "tests/unit", "tests/features", "-q", "-x", "-p", "no:cacheprovider"],
        ["ruff", "check", "--no-cache", "."],
    ],
    ids=lambda command: command[0],
)
def test_without_the_example_the_rest_stays_green(without_posts: Path, command: list[str], tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=without_posts,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
