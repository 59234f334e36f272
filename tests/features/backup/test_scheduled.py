"""A backup by itself: as often as is said, and as many are kept."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from app.extras.backup.scheduled import back_up_when_due

HOUR = 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "safe" / "place"


@pytest.fixture
def back_up(make_app: Callable[..., Flask], folder: Path) -> Callable[[], list[str]]:
    """Does what the job does every ten minutes; the names of the backups that are then there."""
    app = make_app(BACKUP_FOLDER=folder, BACKUP_HOURS=6, BACKUP_KEEP=2)

    def do() -> list[str]:
        with app.app_context():
            back_up_when_due()
        return sorted(file.name for file in folder.iterdir())

    return do


def grow_older(file: Path, seconds: float, name: str) -> None:
    os.utime(file, (time.time() - seconds, time.time() - seconds))
    file.rename(file.with_name(name))


def test_one_is_made_and_the_next_when_it_is_due(back_up: Callable[[], list[str]], folder: Path) -> None:
    (first,) = back_up()
    assert back_up() == [first]
    grow_older(folder / first, 5 * HOUR, "groundwork-20260101T000000Z.tar.gz")
    assert len(back_up()) == 1
    grow_older(folder / "groundwork-20260101T000000Z.tar.gz", 6 * HOUR, "groundwork-20260101T000000Z.tar.gz")
    assert len(back_up()) == 2


def test_the_oldest_goes_and_what_is_not_ours_stays(back_up: Callable[[], list[str]], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("groundwork-20260101T000000Z.tar.gz", "groundwork-20260102T000000Z.tar.gz", "letters.tar.gz"):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (0, 0))
    names = back_up()
    assert len(names) == 3
    assert names[0] == "groundwork-20260102T000000Z.tar.gz"
    assert names[-1] == "letters.tar.gz"


def test_without_a_folder_there_is_none(app: Flask) -> None:
    with app.app_context():
        back_up_when_due()
    assert not list(Path(app.instance_path).rglob("*.tar.gz"))
