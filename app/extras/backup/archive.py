"""The archive: a .tar.gz with uploads/, the database and, last, manifest.json with a SHA-256 of each member.

tar and sha256sum open and check it without this application; one that was cut off has no manifest. Files of any size
pass in pieces. A member never leaves the folder it is read into.
"""

import contextlib
import hashlib
import json
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Any

from app.extras.backup.report import Failed, progress

MANIFEST = "manifest.json"


def add(tar: tarfile.TarFile, folder: Path, prefix: str, sums: dict[str, str]) -> None:
    """Adds the files that `sums` does not name yet, and their checksums to it. One removed meanwhile is none."""
    for path in sorted(folder.rglob("*")):
        name = prefix + path.relative_to(folder).as_posix()
        if name not in sums and path.is_file() and not path.is_symlink():
            progress(f"compressing {name}")
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                tar.addfile(tar.gettarinfo(arcname=name, fileobj=file), file)


def read(path: Path, folder: Path, only: str = "") -> dict[str, Any]:
    """Checks every checksum, and puts all members, or one, into `folder`; returns the manifest.

    Raises Failed when the file is no backup, is damaged, or has a member that would leave the folder.
    """
    sums: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r|gz") as tar:
            for member in tar:
                target = (folder / member.name).resolve()
                if not member.isreg() or member.name in sums or not target.is_relative_to(folder.resolve()):
                    raise Failed(f"{path} is no backup: it has the member {member.name!r}")
                progress(f"checking {member.name}")
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
