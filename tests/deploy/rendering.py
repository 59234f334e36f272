"""Renders the files of deploy/ for the tests, and remembers which of the rendered ones a server has opened.

Some of what people copy stands in the project's own folder (TOP).

The kernel tells of each file below a folder with rendered ones that was opened for reading and closed (inotify), so a
file that is shipped but never read by a real server is found out (tests/deploy/conftest.py judges).
"""

import ctypes
import os
import struct
import threading
import time
from pathlib import Path

from config import ROOT
from scripts.render import render

rendered: dict[Path, str] = {}  # where it was written to -> its path below deploy/, or in TOP
TOP = {"Dockerfile", ".dockerignore", "compose.yaml", "compose.https.yaml", "Procfile"}
TOP |= {".gitlab-ci.yml", "renovate.json"}
TOP |= {f".github/{name}.yml" for name in ("dependabot", "workflows/test", "workflows/deploy")}
_opened: set[Path] = set()
_folders: dict[int, Path] = {}  # that are watched
IN_CLOSE_NOWRITE = 0x10
_libc = ctypes.CDLL(None, use_errno=True)
_events = _libc.inotify_init1(os.O_CLOEXEC)  # one for all: a user may have 128 of them


def place(file: str, target: Path, **values: str) -> Path:
    """Renders `deploy/<file>` to `target`, with scripts/render.py's values."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render((ROOT / "deploy" / file).read_text(encoding="utf-8"), **values), encoding="utf-8")
    remember(file, target)
    return target


def remember(file: str, target: Path) -> None:
    """`target` was rendered from `deploy/<file>` by somebody, as scripts/install-service.sh does."""
    rendered[target] = file
    _watch(target.parent)


def shipped() -> set[str]:
    """What people copy; a README explains only."""
    folder = ROOT / "deploy"
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return {file for file in files if not file.endswith(".md")} | TOP


def read_by_a_server() -> set[str]:
    time.sleep(0.5)  # so that the last events arrive
    return {file for target, file in rendered.items() if target in _opened}


def _watch(folder: Path) -> None:
    if not _folders:
        threading.Thread(target=_collect, daemon=True).start()
    number = _libc.inotify_add_watch(_events, os.fsencode(folder), IN_CLOSE_NOWRITE)
    if number < 0:
        raise OSError(ctypes.get_errno(), f"{folder} can not be watched")
    _folders[number] = folder


def _collect() -> None:
    """Of each event (inotify(7)) the number of its folder, and the name behind three other numbers, its length last."""
    while events := os.read(_events, 65_536):
        while events:
            number, _, _, length = struct.unpack_from("iIII", events)
            name, events = events[16 : 16 + length].rstrip(b"\0"), events[16 + length :]
            if number in _folders:
                _opened.add(_folders[number] / os.fsdecode(name))
