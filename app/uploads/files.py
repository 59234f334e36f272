import contextlib
import errno
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flask import current_app
from werkzeug.datastructures import FileStorage

from app.platform.errors import AppError
from config import Config

MAX_BYTES = 4 * 1024 * 1024
TYPES = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
NAME = r"[0-9a-f]{32}\.(?:png|jpg|gif|webp)"
_log = logging.getLogger("groundwork.uploads")


def folder() -> Path:
    settings: Config = current_app.extensions["settings"]
    return settings.INSTANCE_PATH / "uploads"


def image_fault(file: FileStorage) -> str | None:
    """Why this can not be stored as an image; None when it can."""
    if _extension(file) is None:
        return "This is no PNG, JPEG, GIF or WebP image."
    if file.stream.seek(0, os.SEEK_END) > MAX_BYTES:
        return f"The image is larger than {MAX_BYTES // 1024 // 1024} MB."
    return None


def store_image(file: FileStorage) -> str:
    """Stores an image without image_fault(); returns the name that it is served by, which nobody can guess.

    Whole or not at all. Raises AppError 507 without room for it.
    """
    extension = _extension(file)
    if extension is None:
        raise AppError("This is no PNG, JPEG, GIF or WebP image.", 422)
    name = f"{secrets.token_hex(16)}.{extension}"
    draft = ""
    try:
        folder().mkdir(exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=folder())
        with os.fdopen(descriptor, "wb") as target:
            file.stream.seek(0)
            file.save(target)
        os.chmod(draft, 0o644)  # mkstemp makes it 0600; nginx reads as another user
        os.replace(draft, folder() / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        full = error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", None)}
        raise AppError("The image can not be stored right now.", 507 if full else 503) from error
    return name


def remove_image(name: str | None) -> None:
    """After the commit that has made it nobody's. A file that can not be removed stays, and is named in the log."""
    try:
        if name:
            (folder() / name).unlink(missing_ok=True)
    except OSError as error:  # Windows keeps a file that is being read
        _log.warning("the image %s could not be removed: %s", name, error)


@contextlib.contextmanager
def kept_on_success(name: str | None) -> Iterator[None]:
    """Around what makes a stored image somebody's: on any exception it is removed again."""
    try:
        yield
    except BaseException:
        remove_image(name)
        raise


def _extension(file: FileStorage) -> str | None:
    """By the first bytes, whatever name and type the browser gave (file signatures of the formats' standards)."""
    file.stream.seek(0)
    head = file.stream.read(12)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return "webp"
    return None
