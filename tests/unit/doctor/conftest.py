"""A check is asked as `flask doctor` asks it, of an application and of what a test puts in its way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.platform.doctor import examination, registry
from app.platform.doctor.registry import Deployment, Finding
from tests.doctor_record import remember

Look = Callable[..., Finding]


def look(app: Flask, identity: str, **around: Any) -> Finding:
    """What the check finds. `around`: fields of the Deployment."""
    with app.app_context():
        checks = registry.load(app)
        environ = around.pop("environ", {})
        deployment = Deployment(app.extensions["settings"], environ=environ, **around)
        (result,) = examination.examine(deployment, [checks[identity]])
    remember(checks, result.check, result.finding)
    return result.finding


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder like the project's, with nothing in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine's file system, with nothing in it."""
    folder = tmp_path / "machine"
    folder.mkdir()
    return folder


def assert_seen(broken: Finding, status: str, *words: str) -> None:
    """It was found, with what was seen, and with a line that mends it."""
    assert broken.status == status, broken
    assert broken.seen
    assert broken.fix, "no line that mends it"
    for word in words:
        assert word in broken.seen, broken
