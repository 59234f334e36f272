"""The two commands. Exit codes: 0 good, 1 done with a warning, 2 failed and nothing was changed."""

import json
import os
import shutil
import sys
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from app.extensions import cache, db
from app.extras.backup import archive, postgresql, sqlite
from app.extras.backup.report import Failed, connected, count, explained
from app.platform.database import utc_now
from app.platform.version import version

_KINDS = {"sqlite": sqlite, "postgresql": postgresql}


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--keep", default=7, show_default=True, type=click.IntRange(1), help="How many dated backups stay.")
@with_appcontext
def backup(file: Path | None, keep: int) -> None:
    """Back up the database and the uploads into FILE, and restore that for a trial.

    Without FILE it is a dated one in INSTANCE_PATH/backups, and of those the newest stay.
    """
    slug = getattr(current_app.session_interface, "slug", "backup")
    target = file or _dated(slug)
    with explained():
        is_tried = _write(target.absolute())
        for old in [] if file else sorted(target.parent.glob(f"{slug}-{'[0-9]' * 8}T{'[0-9]' * 6}Z.tar.gz"))[:-keep]:
            old.unlink()
            click.echo(f"Removed {old.name}, to keep {keep}.")
    sys.exit(0 if is_tried else 1)


def _write(target: Path) -> bool:
    """Writes a draft beside `target` and replaces that when it is good. False when it was not restored for a trial."""
    started, kind, uploads = utc_now(), _KINDS[db.engine.dialect.name], Path(current_app.instance_path, "uploads")
    sums: dict[str, str] = {}
    manifest: dict[str, Any] = {"format": 1, "time": started.isoformat(timespec="seconds"), "version": version()}
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=target.parent) as name:
        draft, folder = Path(name, "archive"), Path(name, "folder")
        folder.mkdir()
        with tarfile.open(draft, "x:gz", compresslevel=6, dereference=True) as tar:
            # Uploads before the database, or one that it names may go meanwhile; then those that came with its rows.
            archive.add(tar, uploads, "uploads/", sums)
            rows = kind.snapshot(folder / kind.MEMBER)
            if not rows:
                raise Failed("The database has no tables yet. They are made by: flask db upgrade")
            archive.add(tar, folder, "", sums)
            archive.add(tar, uploads, "uploads/", sums)
            (folder / kind.MEMBER).unlink()
            manifest |= {"database": db.engine.dialect.name, "rows": rows, "sha256": sums}
            (folder / archive.MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
            archive.add(tar, folder, "", dict(sums))
        archive.read(draft, Path(name), only=kind.MEMBER)
        found = kind.trial(Path(name, kind.MEMBER))
        if found not in (rows, None):
            raise Failed("The trial restore has not the rows that the database had")
        draft.chmod(0o600)  # who reads it reads the database
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(target)
    size, taken = target.stat().st_size / 1e6, (utc_now() - started).total_seconds()
    click.echo(f"{target}: {_contents(manifest)}, {size:,.1f} MB, checked and complete after {taken:.1f} s.")
    return found is not None


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a database that holds something, after a backup of it.")
@with_appcontext
def restore(file: Path, force: bool) -> None:
    """Put back the database and the uploads from FILE, after checking all checksums."""
    started, kind, instance = utc_now(), _KINDS[db.engine.dialect.name], Path(current_app.instance_path)
    if sys.platform != "win32" and os.geteuid() == 0 != (owner := instance.stat().st_uid):
        raise Failed(f"What root restores, the server could not write. Run this as its user: sudo -u '#{owner}' …")
    with explained(), tempfile.TemporaryDirectory(prefix=".draft-", dir=instance) as name:
        with connected(db.engine.url) as connection:
            held = sum(number for table, number in count(connection).items() if table != "alembic_version")
        if held and not force:
            raise Failed(f"The database holds {held:,} rows. To replace them, after a backup of them: --force")
        manifest = archive.read(file, Path(name))
        if (manifest["format"], manifest["database"]) != (1, db.engine.dialect.name):
            raise Failed(f"It is a backup of {manifest['database']}, but DATABASE_URL is {db.engine.dialect.name}")
        if held:
            _write(_dated("before-restore"))
        # First the uploads, or a row names one that is not there. One that is there is the same: names are random.
        (instance / "uploads").mkdir(exist_ok=True)
        for upload in Path(name, "uploads").glob("*"):
            shutil.move(upload, instance / "uploads" / upload.name)  # maybe another disk
        kind.put_back(Path(name, kind.MEMBER))
        cache.clear()
    age, taken = started - datetime.fromisoformat(manifest["time"]), (utc_now() - started).total_seconds()
    click.echo(f"Restored {_contents(manifest)}, in {taken:.1f} s. Next: flask db upgrade")
    click.echo(f"All as of {manifest['time']}, {str(age).partition('.')[0]} ago: what was written since is not there.")


def _dated(name: str) -> Path:
    return Path(current_app.instance_path, "backups", f"{name}-{utc_now():%Y%m%dT%H%M%SZ}.tar.gz")


def _contents(manifest: dict[str, Any]) -> str:
    rows, uploads = manifest["rows"], len(manifest["sha256"]) - 1
    return f"{sum(rows.values()):,} rows in {len(rows)} tables, {uploads:,} uploads"
