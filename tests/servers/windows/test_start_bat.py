"""scripts/start.bat from a clean clone to a page, under the real CPython for Windows (see tests/servers/wine.py)."""

from pathlib import Path

import pytest

from tests.servers.running import free_port, get
from tests.servers.windows.conftest import FirstStart, StartBat
from tests.servers.wine import Windows


def test_it_explains_itself(start_bat: StartBat) -> None:
    running = start_bat("--help")
    assert running.end(20) == 0
    assert "--port PORT" in running.output


@pytest.mark.parametrize("options", [("--colour",), ("--port",)])
def test_a_wrong_option_is_one_clear_line(start_bat: StartBat, options: tuple[str, ...]) -> None:
    running = start_bat(*options)
    assert running.end(20) == 2
    assert len(running.lines) == 1
    assert "see --help" in running.output


def test_the_first_start_installs_and_serves(first_start: FirstStart, clone: Path) -> None:
    assert said(first_start.lines) == ["Making .venv ...", "Installing requirements.txt ..."]
    assert first_start.page[0] == 200
    assert "<!doctype html>" in first_start.page[2]
    assert first_start.ready[0] == 200
    assert (clone / "instance" / "app.db").exists()


def test_the_second_start_only_serves(
    installed: Path, windows: Windows, start_bat: StartBat, with_python: dict[str, str]
) -> None:
    port = free_port()
    running = start_bat("--port", str(port), "-w", "1", "-b", "127.0.0.1", **with_python)
    try:
        assert f"http://127.0.0.1:{port} with Waitress, 1 processes" in running.line_with("serving on", 60)
        assert said(running.lines) == []
        assert get(port, "/health")[0] == 200
    finally:
        windows.end_all()
        running.kill()


def test_without_a_python_it_says_what_to_do(installed: Path, start_bat: StartBat) -> None:
    (installed / ".venv").rename(installed / "hidden")
    running = start_bat()
    code = running.end(20)
    (installed / "hidden").rename(installed / ".venv")
    assert code == 1
    assert "no Python 3.11 or later was found" in running.lines[-1]


def said(lines: list[str]) -> list[str]:
    """What start.bat says that it does."""
    return [line.rstrip() for line in lines if line.rstrip().endswith(" ...")]
