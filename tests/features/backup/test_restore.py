"""`flask restore`: what comes back, what is kept, and what is refused before anything is changed."""

import json
import re
import signal
import sqlite3
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from app.extensions import cache
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


def test_rows_and_uploads_come_back_into_an_empty_folder(make_app: Callable[..., Flask], archive: Path) -> None:
    other = make_app(DATABASE_URL="sqlite:///new.db")
    restored = run(other, "restore", archive)
    assert restored.exit_code == 0, restored.output
    assert rows(other) == 3
    assert Path(other.instance_path, "uploads/a.png").read_bytes() == b"an image"


def test_it_says_how_old_it_is_and_how_long_it_took(make_app: Callable[..., Flask], archive: Path) -> None:
    app, started = make_app(DATABASE_URL="sqlite:///new.db"), time.monotonic()
    restored = run(app, "restore", archive)
    longest = time.monotonic() - started + 0.1  # rounded
    age = f"All is as of {re.escape(manifest(archive)['time'])}, 0:00:\\d\\d ago: 4 rows in "
    assert re.search(age, restored.output), restored.output
    took = re.search(r"Restored in (\d+\.\d) s", restored.output)
    assert took, restored.output
    assert float(took[1]) <= longest
    assert "Next: flask db upgrade" in restored.output


def test_rows_are_not_replaced_without_force(written: Flask, archive: Path) -> None:
    add_rows(written, 1)
    refused = run(written, "restore", archive)
    assert (refused.exit_code, rows(written)) == (2, 4)
    assert refused.output.startswith(
        "Error: The database holds 4 rows. To replace them, after a backup of them: --force"
    )


def test_with_force_what_was_there_is_kept_in_a_backup(written: Flask, archive: Path) -> None:
    add_rows(written, 1)
    kept = upload(written, "later.png")
    assert run(written, "restore", archive, "--force").exit_code == 0
    assert rows(written) == 3
    assert kept.exists()
    (before,) = Path(written.instance_path, "backups").glob("before-restore-*.tar.gz")
    assert manifest(before)["rows"]["tries"] == 4
    assert run(written, "restore", before, "--force").exit_code == 0
    assert rows(written) == 4


def test_what_was_remembered_of_the_earlier_database_is_forgotten(written: Flask, archive: Path) -> None:
    with written.app_context():
        cache.set("page", "of the earlier database")
    run(written, "restore", archive, "--force")
    with written.app_context():
        assert cache.get("page") is None


def relisted(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    return files | {"manifest.json": json.dumps(json.loads(files["manifest.json"]) | changes).encode()}


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text": (lambda path: path.write_text("no archive"), "is no backup, or it is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is no backup, or it is damaged"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-600]), "is no backup, or it "),
    "cut off after the database": (
        lambda path: write_archive(path, {"database.sqlite3": members(path)["database.sqlite3"]}),
        "it was cut off: it has no manifest.json",
    ),
    "one byte changed": (
        lambda path: write_archive(path, members(path) | {"uploads/a.png": b"An image"}),
        "is damaged: uploads/a.png has not the checksum that the manifest names",
    ),
    "a file more": (
        lambda path: write_archive(path, {"uploads/b.png": b"not listed"} | members(path)),
        "is damaged: uploads/b.png has not the checksum",
    ),
    "a file less": (
        lambda path: write_archive(path, {k: v for k, v in members(path).items() if k != "uploads/a.png"}),
        "is damaged: uploads/a.png has not the checksum",
    ),
    "a manifest that is no JSON": (lambda path: write_archive(path, {"manifest.json": b"{"}), "or it is damaged"),
    "out of the folder": (
        lambda path: write_archive(path, {"../../outside": b"x"} | members(path)),
        "it has the member '../../outside'",
    ),
    "an absolute path": (lambda path: write_archive(path, {"/tmp/outside": b"x"}), "it has the member"),
    "a link": (lambda path: write_archive(path, {}, link("uploads", "/etc")), "it has the member 'uploads'"),
    "of PostgreSQL": (
        lambda path: write_archive(path, relisted(members(path), database="postgresql")),
        "It is a backup of postgresql, but DATABASE_URL is sqlite",
    ),
    "of a later format": (lambda path: write_archive(path, relisted(members(path), format=2)), "It is a backup of "),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_good_backup_is_refused_and_changes_nothing(
    written: Flask, archive: Path, tmp_path: Path, kind: str
) -> None:
    spoil, reason = BAD[kind]
    spoil(archive)
    add_rows(written, 1)
    Path(written.instance_path, "uploads/a.png").unlink()
    files = sorted(tmp_path.rglob("*"))
    refused = run(written, "restore", archive, "--force")
    assert (refused.exit_code, rows(written)) == (2, 4)
    assert reason in refused.output
    assert "Traceback" not in refused.output
    assert sorted(tmp_path.rglob("*")) == files, "nothing came, and nothing went"


def test_a_damaged_database_is_named_with_the_way_out(make_app: Callable[..., Flask], archive: Path) -> None:
    app = make_app(DATABASE_URL="sqlite:///damaged.db")
    damaged = Path(app.instance_path, "damaged.db")
    damaged.write_bytes(b"no database" * 1000)
    refused = run(app, "restore", archive, "--force")
    assert refused.exit_code == 2
    assert "file is not a database. To restore, move the damaged database away first" in refused.output
    damaged.unlink()
    assert run(app, "restore", archive).exit_code == 0
    assert rows(app) == 3


def test_root_does_not_restore_what_the_server_could_not_write(written: Flask, archive: Path) -> None:
    refused = as_root_of_anothers(written, "restore", archive, "--force")
    assert "Run this as its user: sudo -u '#65534' …. Nothing was changed." in refused.output


def test_a_restore_that_fails_says_what_it_has_changed_and_what_is_kept(
    written: Flask, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path) -> None:
        raise OSError(28, "No space left on device")

    add_rows(written, 1)
    monkeypatch.setattr(sqlite, "put_back", full)
    failed = run(written, "restore", archive, "--force")
    assert (failed.exit_code, rows(written)) == (2, 4)
    (kept,) = Path(written.instance_path, "backups").iterdir()
    assert failed.output.endswith(
        f"No space left on device. {kept} is complete. The database is as it was; uploads may have been added.\n"
    )


def test_a_restore_whose_uploads_do_not_fit_does_not_say_that_nothing_was_changed(
    make_app: Callable[..., Flask], archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    app = make_app(DATABASE_URL="sqlite:///new.db")
    monkeypatch.setattr("shutil.move", full)
    failed = run(app, "restore", archive)
    assert failed.exit_code == 2
    assert failed.output.endswith(" device. The database is as it was; uploads may have been added.\n")


def test_a_restore_that_has_replaced_the_database_says_so_whatever_comes_after(
    written: Flask, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    add_rows(written, 1)
    monkeypatch.setattr(cache, "clear", full)
    failed = run(written, "restore", archive, "--force")
    assert (failed.exit_code, rows(written)) == (2, 3)
    assert failed.output.endswith(" is complete. The database and the uploads are restored.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_while_it_replaces_the_database_it_finishes(
    written: Flask, archive: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put_back = sqlite.put_back

    def meanwhile(file: Path) -> None:
        put_back(file)
        signal.raise_signal(number)

    add_rows(written, 1)
    monkeypatch.setattr(sqlite, "put_back", meanwhile)
    restored = run(written, "restore", archive, "--force")
    assert (restored.exit_code, rows(written)) == (0, 3), restored.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_before_that_it_has_changed_nothing(
    written: Flask, archive: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("app.extras.backup.archive.read", lambda *_: signal.raise_signal(number))
    add_rows(written, 1)
    ended = run(written, "restore", archive, "--force")
    assert (ended.exit_code, rows(written)) == (2, 4)
    assert ended.output == "Error: Ended from outside. Nothing was changed.\n"
