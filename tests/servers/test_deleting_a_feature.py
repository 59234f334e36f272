"""The rule of the house: a feature or an extra goes with its folder, its tests' folders and its line in create_app."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment
from tests.servers.project import NOT_COPIED

# Those that build on another one go with it.
EXAMPLE = ("posts", "uploads", "api_docs", "api", "tokens", "admin", "account", "auth")
EXTRAS = tuple(path.parent.name for path in sorted((ROOT / "app/extras").glob("*/__init__.py")))
PLACES = ("app", "app/extras", "tests/features", "tests/servers", "tests/browser", "tests/deploy", "benchmarks")
PLACES += tuple(f"tests/deploy/{name}" for name in ("apache", "containers", "nginx", "systemd", "uwsgi"))


@pytest.fixture(
    scope="module",
    # Each of the first two with all others of its kind there; what of the one needs the other, a run below is without.
    params=[("posts", "worker"), EXAMPLE, EXTRAS],
    ids=["posts and worker", "the whole example", "all extras"],
)
def without(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without these features. Their migrations stay: data is not code."""
    copy = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    factory = copy / "app/__init__.py"
    text = factory.read_text(encoding="utf-8")
    for feature in request.param:
        for place in PLACES:
            shutil.rmtree(copy / place / feature, ignore_errors=True)
        assert not list((copy / "app").glob(f"**/{feature}"))
        text = re.sub(rf"^ *{feature}\.init_app\(.*\)\n", "", text, flags=re.MULTILINE)
        text = re.sub(rf"(?<=import )(.*)\b{feature}\b(?:, )?", r"\1", text, count=1).replace(", \n", "\n")
        text = re.sub(r"^from [\w.]+ import \n", "", text, flags=re.MULTILINE)
        assert not re.search(rf"\b{feature}\b", text)
    factory.write_text(text, encoding="utf-8")
    return copy


@pytest.mark.timeout(330)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ["pytest", "tests/unit", "tests/features", "-q", "-x", "-n", "auto", "-p", "no:cacheprovider"],
            marks=pytest.mark.alone,  # it takes all processors
        ),
        ["ruff", "check", "--no-cache", "."],
        ["mypy", "--cache-dir=/dev/null"],
    ],
    ids=["pytest", "ruff", "mypy"],
)
def test_the_rest_stays_green(without: Path, command: list[str], tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=without,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
