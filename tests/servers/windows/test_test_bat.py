"""scripts/test.bat in a small copy of the project: it makes its environment, and passes on what pytest has found."""

import re
import shutil
from pathlib import Path

import pytest

from tests.servers.wine import PROJECT, Windows, windows_path

PACKAGES = ("colorama", "execnet", "iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-xdist")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copy = tmp_path / "Grün werk"
    for folder in ("scripts", "tests/unit", "tests/features"):
        (copy / folder).mkdir(parents=True)
    shutil.copy(PROJECT / "scripts" / "test.bat", copy / "scripts")
    locked = (PROJECT / "requirements-dev.txt").read_text(encoding="utf-8")
    pins = re.findall(rf"^(?:{'|'.join(PACKAGES)})==.*(?:\n    .*)+\n", locked, re.MULTILINE)
    assert len(pins) == len(PACKAGES)
    (copy / "requirements.txt").write_text("# no more than the tests below need\n")
    (copy / "requirements-dev.txt").write_text("".join(pins))
    (copy / "tests/unit/test_unit.py").write_text("import os\n\ndef test_windows():\n    assert os.name == 'nt'\n")
    return copy


def test_it_runs_the_tests_and_says_how_they_ended(windows: Windows, copy: Path, with_python: dict[str, str]) -> None:
    script = windows_path(copy / "scripts" / "test.bat")
    code, output = windows.run("cmd", "/c", script, cwd=copy.parent, seconds=200, **with_python)
    assert "1 passed" in output
    assert code == 0, output
    (copy / "tests/features/test_feature.py").write_text("def test_that_fails():\n    assert False\n")
    code, output = windows.run("cmd", "/c", script, cwd=copy.parent, seconds=200, **with_python)
    assert "1 failed, 1 passed" in output
    assert code == 1
