"""The archive: a .tar.gz with uploads/, the database and, last, manifest.json with a SHA-256 of each member.

tar and sha256sum open it without us. One that was cut off has no manifest. No member leaves the folder it is read into.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app.extras.backup.report import Failed

MANIFEST = "manifest.json"
DRAFT = "flask-backup"  # gzip keeps the name that a file had when it was written: by that we know ours


@contextlib.contextmanager
def draft(parent: Path) -> Iterator[Path]:
    """A folder in `parent` for what is not complete. What a killed command left there goes after half a day."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    for left in (each for each in parent.glob(".draft-*") if os.path.getmtime(each) < time.time() - 12 * 3600):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=parent) as name:
        threading.Thread(target=_tell_progress, args=(Path(name),), daemon=True).start()
        yield Path(name)


def _tell_progress(folder: Path) -> None:
    """How much there is of what is being written, for a terminal and a journal alike; not of what is done at once."""
    while folder.is_dir():
        time.sleep(2)
        with contextlib.suppress(OSError, ValueError):  # the next step has begun
            newest = max(folder.rglob("*"), key=os.path.getmtime)
            click.echo(f"… {newest.name}: {newest.stat().st_size / 1e6:,.1f} MB", err=True)


def spare(path: Path) -> None:
    """Raises Failed when something is at `path` that is no backup, the database for example."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if file.read(50)[10:].partition(b"\0")[0] != DRAFT.encode():
            raise Failed(f"{path} is no backup, so it is not replaced. Name another file")


def add(tar: tarfile.TarFile, folder: Path, prefix: str, sums: dict[str, str]) -> None:
    """Adds the files that `sums` does not name yet, and their checksums to it. One removed meanwhile is none."""
    for path in sorted(folder.rglob("*")):
        name = prefix + path.relative_to(folder).as_posix()
        if name not in sums and path.is_file() and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                tar.addfile(tar.gettarinfo(arcname=name, fileobj=file), file)


def read(path: Path, folder: Path, only: str = "") -> dict[str, Any]:
    """Puts all members, or one, into `folder`, and returns the manifest. Raises Failed when it is no whole backup."""
    sums: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r|gz") as tar:
            for member in tar:
                target = (folder / member.name).resolve()
                if not member.isreg() or member.name in sums or not target.is_relative_to(folder.resolve()):
                    raise Failed(f"{path} is no backup: it has the member {member.name!r}")
                source: Any = tar.extractfile(member)
                if member.name == MANIFEST:
                    manifest = json.load(source)
                    continue
                if only in {"", member.name}:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("xb") as file:
                        shutil.copyfileobj(source, file)
                    target.chmod(0o644)  # nginx reads uploads as another user
                    source = target.open("rb")
                with source:
                    sums[member.name] = hashlib.file_digest(source, "sha256").hexdigest()
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        raise Failed(f"{path} is no backup, or it is damaged ({error})") from None
    if not (listed := manifest.get("sha256")):
        raise Failed(f"{path} is no backup, or it was cut off: it has no {MANIFEST}")
    if wrong := [name for name in listed | sums if listed.get(name) != sums.get(name)]:
        raise Failed(f"{path} is damaged: {', '.join(wrong[:3])} has not the checksum that the manifest names")
    return manifest
