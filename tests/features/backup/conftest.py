"""An application with an upload and rows in its database, the commands, and a look into an archive."""

import io
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from app.extensions import db
from app.platform.database import write_unit
from app.platform.limits import Try

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The commands end in order when they are told to; the process of the tests goes on as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background begins with it ignored
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(app: Flask, *arguments: str | Path) -> Result:
    return app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])


def as_root_of_anothers(app: Flask, *arguments: str | Path) -> Result:
    """Root runs it, and the instance folder is nobody's. Nothing may be opened, least of all the database."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can be another one's owner")
    files = sorted(Path(app.instance_path).rglob("*"))
    os.chown(app.instance_path, 65534, 65534)
    refused = run(app, *arguments)
    assert (refused.exit_code, sorted(Path(app.instance_path).rglob("*"))) == (2, files)
    return refused


def add_rows(app: Flask, count: int) -> None:
    with app.app_context(), write_unit():
        start = db.session.scalar(select(func.count()).select_from(Try)) or 0
        db.session.add_all(Try(key=f"key {start + number}", ticket="x", expires=1.0) for number in range(count))


def rows(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Try)) or 0


def upload(app: Flask, name: str, data: bytes = b"an image") -> Path:
    file = Path(app.instance_path, "uploads", name)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return file


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def manifest(archive: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(members(archive)["manifest.json"])
    return found


def write_archive(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in more:
            tar.addfile(member)
    return path


@pytest.fixture
def written(app: Flask) -> Flask:
    add_rows(app, 3)
    upload(app, "a.png")
    return app


@pytest.fixture
def archive(written: Flask, tmp_path: Path) -> Path:
    file = tmp_path / "backup.tar.gz"
    made = run(written, "backup", file)
    assert made.exit_code == 0, made.output
    return file
