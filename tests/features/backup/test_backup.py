"""`flask backup`: what is in the archive, where it is, and what happens when something goes wrong."""

import hashlib
import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from flask import Flask

from app.extras.backup import archive as archives
from app.extras.backup import sqlite
from tests.features.backup.conftest import (
    add_rows,
    as_root_of_anothers,
    manifest,
    members,
    rows,
    run,
    upload,
    write_archive,
)


def test_tar_and_sha256_open_it_without_us(archive: Path, tmp_path: Path) -> None:
    files = members(archive)
    assert list(files) == ["uploads/a.png", "database.sqlite3", "manifest.json"]
    said = manifest(archive)
    for name, digest in said["sha256"].items():
        assert hashlib.sha256(files[name]).hexdigest() == digest
    assert (said["database"], said["rows"]["tries"]) == ("sqlite", 3)
    (tmp_path / "opened").write_bytes(files["database.sqlite3"])
    with closing(sqlite3.connect(tmp_path / "opened")) as opened:
        assert opened.execute("SELECT count(*) FROM tries").fetchone() == (3,)


def test_the_secret_key_is_not_in_it(written: Flask, tmp_path: Path) -> None:
    Path(written.instance_path, "secret_key").write_text("the key of the site")
    assert run(written, "backup", tmp_path / "b.tar.gz").exit_code == 0
    files = members(tmp_path / "b.tar.gz")
    assert len(files) > 2
    assert [name for name, data in files.items() if "secret" in name or b"the key of the site" in data] == []


def test_only_its_owner_can_read_it(archive: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_without_a_name_it_is_dated_and_the_newest_stay(written: Flask) -> None:
    folder = Path(written.instance_path, "backups")
    folder.mkdir()
    for name in ("groundwork-20250101T000000Z", "groundwork-20260101T000000Z", "before-restore-20240101T000000Z"):
        (folder / f"{name}.tar.gz").touch()
    made = run(written, "backup", "--keep", 2)
    assert made.exit_code == 0, made.output
    assert "Removed groundwork-20250101T000000Z.tar.gz, to keep 2." in made.output
    left = sorted(path.name for path in folder.iterdir())
    assert left[:2] == ["before-restore-20240101T000000Z.tar.gz", "groundwork-20260101T000000Z.tar.gz"]
    assert len(left) == 3


def test_it_says_what_is_in_it_and_how_long_it_took(written: Flask, tmp_path: Path) -> None:
    started = time.monotonic()
    made = run(written, "backup", tmp_path / "b.tar.gz")
    longest = time.monotonic() - started + 0.1  # rounded
    assert "4 rows in " in made.output
    took = re.search(r"1 uploads, 0\.0 MB, checked and complete after (\d+\.\d) s\.", made.output)
    assert took, made.output
    assert float(took[1]) <= longest


def test_an_upload_that_is_removed_or_comes_while_the_database_is_copied_is_in_it(
    written: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = sqlite.snapshot

    def meanwhile(target: Path) -> dict[str, int]:
        upload(written, "b.png")
        rows = snapshot(target)
        upload(written, "a.png").unlink()
        return rows

    monkeypatch.setattr(sqlite, "snapshot", meanwhile)
    run(written, "backup", tmp_path / "b.tar.gz")
    assert {"uploads/a.png", "uploads/b.png"} < set(members(tmp_path / "b.tar.gz"))


@pytest.mark.parametrize(
    "fault",
    [
        lambda file: {"tries": 2},
        lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        lambda file: (_ for _ in ()).throw(KeyboardInterrupt),
    ],
    ids=["rows are missing", "the disk is full", "interrupted"],
)
def test_a_backup_that_fails_leaves_the_earlier_one_and_nothing_half_written(
    written: Flask, archive: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], object]
) -> None:
    earlier, beside = archive.read_bytes(), set(archive.parent.iterdir())
    add_rows(written, 1)
    monkeypatch.setattr(sqlite, "trial", fault)
    made = run(written, "backup", archive)
    assert made.exit_code == 2
    assert made.output.endswith(". Nothing was changed.\n")
    assert archive.read_bytes() == earlier
    assert set(archive.parent.iterdir()) == beside


def test_a_full_disk_is_one_line_and_exit_code_2(
    written: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path) -> dict[str, int]:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite, "snapshot", full)
    made = run(written, "backup", tmp_path / "b.tar.gz")
    assert made.output.splitlines()[-1] == "Error: database or disk is full. Nothing was changed."
    assert made.exit_code == 2


def test_a_damaged_database_is_not_backed_up_over_a_good_backup(written: Flask, archive: Path) -> None:
    earlier = archive.read_bytes()
    with written.app_context():
        sqlite.db.engine.dispose()
    database = Path(written.instance_path, "app.db")
    data = bytearray(database.read_bytes())
    data[4096:] = b"\x5a" * len(data[4096:])
    database.write_bytes(data)
    made = run(written, "backup", archive)
    assert made.exit_code == 2
    assert "move the damaged database away first" in made.output
    assert archive.read_bytes() == earlier


def test_a_database_that_was_never_migrated_is_no_backup(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(DATABASE_URL="sqlite:///another.db")
    made = run(app, "backup", tmp_path / "b.tar.gz")
    assert (made.exit_code, (tmp_path / "b.tar.gz").exists()) == (2, False)
    assert "flask db upgrade" in made.output


def test_an_earlier_backup_of_the_same_name_is_replaced(written: Flask, archive: Path) -> None:
    add_rows(written, 1)
    assert run(written, "backup", archive).exit_code == 0
    assert manifest(archive)["rows"]["tries"] == 4


@pytest.mark.parametrize("kind", ["a letter", "another archive", "empty", "cut off before its name ends"])
def test_a_file_that_is_no_backup_is_not_replaced(written: Flask, archive: Path, tmp_path: Path, kind: str) -> None:
    file = {
        "a letter": lambda path: path.write_text("Dear Sir or Madam, this is what I have worked on since last week."),
        "another archive": lambda path: write_archive(path, members(archive)),
        "empty": lambda path: path.touch(),
        "cut off before its name ends": lambda path: path.write_bytes(archive.read_bytes()[:16]),
    }
    target = tmp_path / "other.tar.gz"
    file[kind](target)
    before = target.read_bytes()
    refused = run(written, "backup", target)
    assert (refused.exit_code, target.read_bytes()) == (2, before)
    assert refused.output == (
        f"Error: {target} is no backup, so it is not replaced. Name another file. Nothing was changed.\n"
    )


@pytest.mark.parametrize("name", ["app.db", "app.db-wal"])
def test_the_live_database_is_never_replaced(written: Flask, name: str) -> None:
    """Not even by the name of its log, which is there only while the database is open: from the backup's reading on."""
    with written.app_context():
        sqlite.db.engine.dispose()
    refused = run(written, "backup", Path(written.instance_path, name))
    assert refused.exit_code == 2
    assert f"{name} is no backup, so it is not replaced" in refused.output
    assert rows(written) == 3


def test_what_a_killed_backup_left_goes_and_a_running_one_keeps_its_draft(written: Flask, tmp_path: Path) -> None:
    left = tmp_path / ".draft-left"
    left.mkdir()
    (left / "database.sqlite3").write_bytes(b"x" * 10)
    yesterday = time.time() - 24 * 3600
    os.utime(left, (yesterday, yesterday))
    with archives.draft(tmp_path) as running:
        assert not left.exists()
        assert run(written, "backup", tmp_path / "b.tar.gz").exit_code == 0
        assert running.is_dir()
    assert list(tmp_path.glob(".draft-*")) == []


def test_a_long_one_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = iter([None] * 3)
    monkeypatch.setattr(archives, "time", Mock(sleep=lambda _: next(moments), time=time.time))
    (tmp_path / "database.sqlite3").write_bytes(b"x" * 1_230_000)
    with pytest.raises(StopIteration):
        archives._tell_progress(tmp_path)
    assert capsys.readouterr().err == "… database.sqlite3: 1.2 MB\n" * 3


def test_a_backup_is_not_denied_when_an_older_one_can_not_be_removed(
    written: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(written.instance_path, "backups")
    (folder / "groundwork-20250101T000000Z.tar.gz").mkdir(parents=True)  # a folder: no unlink() removes it, not root's
    made = run(written, "backup", "--keep", 1)
    (complete,) = (file for file in folder.iterdir() if file.is_file())
    assert made.exit_code == 2
    assert made.output.endswith(f". {complete} is complete.\n")
    assert manifest(complete)["rows"]["tries"] == 3


def test_root_makes_no_backup_of_what_is_another_users(written: Flask, tmp_path: Path) -> None:
    refused = as_root_of_anothers(written, "backup", tmp_path / "b.tar.gz")
    assert "Run this as its user: sudo -u '#65534' …. Nothing was changed." in refused.output
