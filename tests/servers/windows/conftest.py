"""One Windows for all of these tests: wine with a CPython, and a clone of the project that start.bat has installed."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.running import Running, free_port, get
from tests.servers.wine import PROJECT, Windows, reason_to_skip, settings_for_pip, windows_path

FOLDERS = ("app", "migrations", "scripts", "serving")
FILES = ("config.py", "config_extras.py", "config_types.py", "wsgi.py", "pyproject.toml")
LOCKS = ("requirements.txt", "requirements-windows.txt")

StartBat = Callable[..., Running]
Answer = tuple[int, dict[str, str], str]


class FirstStart(NamedTuple):
    lines: list[str]
    page: Answer
    ready: Answer


@pytest.hookimpl(tryfirst=True)  # before they are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.windows)
            item.add_marker(pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip()))
            item.add_marker(pytest.mark.timeout(300))  # the first test may have to build the cache


@pytest.fixture(scope="session")
def windows() -> Iterator[Windows]:
    windows = Windows()
    windows.build()
    windows.take_own_prefix()
    yield windows
    windows.discard_own_prefix()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is cloned, in a folder whose name has a space and a letter that is not ASCII."""
    clone = tmp_path_factory.mktemp("users") / "Grün werk"
    clone.mkdir()
    for name in FOLDERS:
        shutil.copytree(PROJECT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*FILES, *LOCKS):
        shutil.copy(PROJECT / name, clone)
    return clone


@pytest.fixture(scope="session")
def start_bat(windows: Windows, clone: Path) -> StartBat:
    def start(*options: str, **variables: str) -> Running:
        """From another folder, as a shortcut on the desktop would."""
        script = windows_path(clone / "scripts" / "start.bat")
        return windows.start("cmd", "/c", script, *options, cwd=clone.parent, **variables)

    return start


@pytest.fixture(scope="session")
def with_python(windows: Windows) -> dict[str, str]:
    """The variables of somebody who has ticked "Add Python to PATH"."""
    return {"WINEPATH": windows_path(windows.home)} | settings_for_pip()


@pytest.fixture(scope="session")
def first_start(windows: Windows, clone: Path, start_bat: StartBat, with_python: dict[str, str]) -> FirstStart:
    """From the clean clone to pages, and its end."""
    assert not (clone / ".venv").exists()
    assert not (clone / "instance").exists()
    port = free_port()
    running = start_bat("--port", str(port), "-w", "2", "-b", "127.0.0.1", **with_python)
    try:
        running.line_with("serving on", 200)
        return FirstStart(running.lines.copy(), *(get(port, path) for path in ("/", "/ready")))
    finally:
        windows.end_all()
        running.kill()


@pytest.fixture(scope="session")
def installed(first_start: FirstStart, clone: Path) -> Path:
    """The clone after its first start."""
    return clone
