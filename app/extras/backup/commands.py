"""The two commands. Exit codes: 0 good, 1 done but not restored for a trial, 2 failed: what was changed is said."""

import json
import os
import shutil
import signal
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask import current_app
from sqlalchemy.exc import DBAPIError

from app.extensions import cache, db
from app.extras.backup import archive, postgresql, sqlite
from app.extras.backup.report import Failed, connected, count
from app.platform.database import utc_now
from app.platform.version import version

_KINDS = {"sqlite": sqlite, "postgresql": postgresql}


@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--keep", default=7, show_default=True, type=click.IntRange(1), help="How many dated backups stay.")
def backup(file: Path | None, keep: int) -> None:
    """Back up database and uploads into FILE, else a dated one in INSTANCE_PATH/backups; and restore it for a trial."""
    target = file or next_dated(_folder())
    with _explained() as changed:
        is_tried = write(target.absolute(), changed)
        for old in [] if file else remove_oldest(target.parent, keep):
            click.echo(f"Removed {old.name}, to keep {keep}.")
    sys.exit(0 if is_tried else 1)


@contextmanager
def _explained() -> Iterator[list[str]]:
    """Makes a failure one line: why, and what was changed by then, as the caller lists it. Refuses a foreign root."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: it still tidies up
    changed: list[str] = []
    try:
        if sys.platform != "win32" and os.geteuid() == 0 != (number := os.stat(current_app.instance_path).st_uid):
            raise Failed(f"The server could not change what root writes. Run this as its user: sudo -u '#{number}' …")
        yield changed
    except (Failed, OSError, sqlite3.Error, DBAPIError, KeyboardInterrupt) as error:
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0].rstrip(". ") or "Ended from outside"
        if "not a database" in reason or "malformed" in reason:
            reason += ". To restore, move the damaged database away first, with its -wal and -shm"
        raise Failed(f"{reason}. {'. '.join(changed) or 'Nothing was changed'}.") from None


def write(target: Path, changed: list[str]) -> bool:
    """Writes a draft beside `target` and replaces that when it is good. False when it was not restored for a trial."""
    started, kind, uploads = utc_now(), _KINDS[db.engine.dialect.name], Path(current_app.instance_path, "uploads")
    sums: dict[str, str] = {}
    with archive.draft(target.parent) as place:
        draft, folder = place / archive.DRAFT, place / "folder"
        folder.mkdir()
        with tarfile.open(draft, "x:gz", compresslevel=6, dereference=True) as tar:
            # Uploads before the database, or one that it names may go meanwhile; then those that came with its rows.
            archive.add(tar, uploads, "uploads/", sums)
            rows = kind.snapshot(folder / kind.MEMBER)
            archive.spare(target)  # not before: the database's -wal is there only while it is open
            if not rows:
                raise Failed("The database has no tables yet. They are made by: flask db upgrade")
            archive.add(tar, folder, "", sums)
            archive.add(tar, uploads, "uploads/", sums)
            (folder / kind.MEMBER).unlink()
            manifest = {"format": 1, "time": started.isoformat(timespec="seconds"), "version": version()}
            manifest |= {"database": db.engine.dialect.name, "rows": rows, "sha256": sums}
            (folder / archive.MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
            archive.add(tar, folder, "", dict(sums))
        archive.read(draft, place, only=kind.MEMBER)
        found = kind.trial(place / kind.MEMBER)
        if found not in (rows, None):
            raise Failed("The trial restore has not the rows that the database had")
        draft.chmod(0o600)  # who reads it reads the database
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(target)
        changed[:] = [f"{target} is complete"]
    size, taken = target.stat().st_size / 1e6, (utc_now() - started).total_seconds()
    click.echo(f"{target}: {_contents(manifest)}, {size:,.1f} MB, checked and complete after {taken:.1f} s.")
    return found is not None


@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a database that holds something, after a backup of it.")
def restore(file: Path, force: bool) -> None:
    """Put back the database and the uploads from FILE, after checking all checksums."""
    started, kind, instance = utc_now(), _KINDS[db.engine.dialect.name], Path(current_app.instance_path)
    with _explained() as changed, archive.draft(instance) as folder:
        with connected(db.engine.url) as connection:
            held = sum(number for table, number in count(connection).items() if table != "alembic_version")
        if held and not force:
            raise Failed(f"The database holds {held:,} rows. To replace them, after a backup of them: --force")
        manifest = archive.read(file, folder)
        if (manifest.get("format"), manifest.get("database")) != (1, db.engine.dialect.name):
            raise Failed(f"It is a backup of {manifest.get('database')}, but DATABASE_URL is {db.engine.dialect.name}")
        if held:
            write(next_dated(_folder(), "before-restore"), changed)
        changed.append("The database is as it was; uploads may have been added")
        (instance / "uploads").mkdir(exist_ok=True)
        for upload in Path(folder, "uploads").glob("*"):  # first, or a row names one that is not there
            shutil.move(upload, instance / "uploads" / upload.name)  # maybe another disk
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what follows is one step, of which we say what it did
        kind.put_back(folder / kind.MEMBER)
        changed[-1] = "The database and the uploads are restored"
        cache.clear()
    age, taken = started - datetime.fromisoformat(manifest["time"]), (utc_now() - started).total_seconds()
    click.echo(f"All is as of {manifest['time']}, {str(age).partition('.')[0]} ago: {_contents(manifest)}.")
    click.echo(f"Restored in {taken:.1f} s. Next: flask db upgrade")


def _folder() -> Path:
    return Path(current_app.instance_path, "backups")


def _slug() -> str:
    return getattr(current_app.session_interface, "slug", "backup")


def next_dated(folder: Path, name: str = "") -> Path:
    return folder / f"{name or _slug()}-{utc_now():%Y%m%dT%H%M%SZ}.tar.gz"


def dated(folder: Path) -> list[Path]:
    """The backups there that no FILE was named for, the oldest first."""
    return sorted(folder.glob(f"{_slug()}-{'[0-9]' * 8}T{'[0-9]' * 6}Z.tar.gz"))


def remove_oldest(folder: Path, keep: int) -> list[Path]:
    """All but the newest `keep`; returns what is gone."""
    oldest = dated(folder)[:-keep]
    for file in oldest:
        file.unlink()
    return oldest


def _contents(of: dict[str, Any]) -> str:
    return f"{sum(of['rows'].values()):,} rows in {len(of['rows'])} tables, {len(of['sha256']) - 1:,} uploads"
