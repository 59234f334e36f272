"""Static files with names that change with their content, so that browsers may keep them for a year.

At start each file below app/static is published in the instance folder as `css/app.3f9a0c41d2e8.css`, with a
gzip twin where that is smaller; nginx can serve that folder as it is, and without nginx WhiteNoise does.
In development Flask serves the files themselves, always fresh.
"""

import gzip
import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask
from whitenoise import WhiteNoise

HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")
KEPT = 30  # days, for the files of earlier releases
SHORT_LIFE = 60  # seconds, for a file asked for by its plain name
_TEXT = frozenset({".css", ".js", ".svg", ".txt", ".json", ".webmanifest", ".map"})
_log = logging.getLogger("groundwork.static")


def init_app(app: Flask, published: Path) -> None:
    """Publishes the files and puts WhiteNoise in front of Flask. A read-only folder costs only the gzip twins."""
    if app.debug or not app.static_folder:
        app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
        return
    source = Path(app.static_folder)
    names = {file.relative_to(source).as_posix(): file for file in sorted(source.rglob("*")) if file.is_file()}
    hashed = {name: _hashed_name(name, file) for name, file in names.items()}
    try:
        for name, file in names.items():
            _publish(file, published / hashed[name])
    except OSError as error:
        _log.warning("static files are served uncompressed: %s can not be written (%s)", published, error.strerror)
        published = source

    @app.url_defaults
    def _hash_the_name(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" or endpoint.endswith(".static"):
            values["filename"] = hashed.get(values["filename"], values["filename"])

    noise = WhiteNoise(
        app.wsgi_app,
        autorefresh=False,
        max_age=SHORT_LIFE,
        immutable_file_test=lambda path, url: bool(HASHED.search(url)),
        allow_all_origins=False,
    )
    for earlier in _published_before(published, keep=set(hashed.values())):
        noise.add_file_to_dictionary(f"{app.static_url_path}/{earlier}", str(published / earlier))
    for name, file in names.items():
        noise.add_file_to_dictionary(f"{app.static_url_path}/{name}", str(file))
        copy = published / hashed[name]
        noise.add_file_to_dictionary(f"{app.static_url_path}/{hashed[name]}", str(copy if copy.exists() else file))
    app.wsgi_app = noise  # type: ignore[method-assign]


def _published_before(published: Path, keep: set[str]) -> Iterator[str]:
    """What pages that browsers still show refer to; after KEPT days nobody does, and it is removed."""
    for file in published.rglob("*"):
        name = file.relative_to(published).as_posix()
        if not HASHED.search(name.removesuffix(".gz")) or name.removesuffix(".gz") in keep:
            continue
        if time.time() - file.stat().st_mtime > KEPT * 86400:
            file.unlink(missing_ok=True)
        elif file.suffix != ".gz":
            yield name


def _hashed_name(name: str, file: Path) -> str:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{digest}.{suffix}" if dot else f"{name}.{digest}"


def _publish(file: Path, target: Path) -> None:
    if target.exists():
        os.utime(target)  # the name holds the content's hash, so it is the same file, and still in use
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    data = file.read_bytes()
    if file.suffix in _TEXT and len(smaller := gzip.compress(data, mtime=0)) < len(data) * 0.95:
        _write(target.with_name(target.name + ".gz"), smaller)
    _write(target, data)  # last: where it exists, its twin does too


def _write(target: Path, data: bytes) -> None:
    """Whole or not at all, also when several servers publish at once."""
    descriptor, draft = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.chmod(draft, 0o644)  # mkstemp makes it 0600; nginx reads as another user
    os.replace(draft, target)
