"""`flask backup`: what is in the archive, where it is, and what happens when something goes wrong."""

import hashlib
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from app.extras.backup import report, sqlite
from tests.features.backup.conftest import add_rows, manifest, members, run, upload


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


def test_the_secret_key_is_not_in_it(archive: Path) -> None:
    assert not any("secret" in name for name in members(archive))


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
    made = run(written, "backup", tmp_path / "b.tar.gz")
    assert "4 rows in " in made.output
    assert "1 uploads, 0.0 MB, checked and complete after 0." in made.output


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
    assert made.exit_code != 0
    assert archive.read_bytes() == earlier
    assert set(archive.parent.iterdir()) == beside


def test_a_full_disk_is_one_line_and_exit_code_2(
    written: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path) -> dict[str, int]:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite, "snapshot", full)
    made = run(written, "backup", tmp_path / "b.tar.gz")
    assert made.output.splitlines()[-1] == "Error: It did not work: database or disk is full. Nothing was changed."
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


def test_a_long_one_says_how_far_it_is(written: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_last", -1e9)
    made = run(written, "backup", tmp_path / "b.tar.gz")
    assert made.stderr.startswith("compressing uploads/a.png\n")
    assert len(made.stderr.splitlines()) == 1, "and then not again for two seconds"
