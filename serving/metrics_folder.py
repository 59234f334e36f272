"""Where the worker processes of one server count together: made, and removed, by their parent."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from app.platform.metrics import FOLDER, STARTED
from serving import merging

# In memory, where Linux has a folder for that: the workers map their files, and a mapped page that finds no room on a
# full disk kills its process (SIGBUS).
MEMORY = Path("/dev/shm")
_LEFT = "left_"  # begins the names of the files in which workers say why they end
_HEIR = ".heir"  # ends the names of the files that parents make who took over: the folder is theirs too


def folder_of(instance: Path, pid: int | None = None) -> Path:
    """Where the workers of this parent count. Never a folder that the user named: it is emptied."""
    pid = pid or os.getpid()
    if sys.platform == "linux" and os.access(MEMORY, os.W_OK):
        # Containers may share the memory, but then not their process numbers.
        return MEMORY / f"groundwork-metrics-{Path('/proc/self/ns/pid').stat().st_ino}-{pid}"
    return instance / "run" / f"metrics-{pid}"


def make_folder(instance: Path, inherited: bool = False) -> None:
    """For the server's parent; one that took over from another (`inherited`) counts on in that one's folder."""
    os.environ[STARTED] = str(time.time())
    if inherited and (theirs := os.environ.get(FOLDER)) and os.path.isdir(theirs):
        Path(theirs, f"{os.getpid()}{_HEIR}").touch()
        merging.merge(Path(theirs))
        return
    folder = folder_of(instance)
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed and had this one's number
    _use(folder)


def join_folder(instance: Path, parent: int) -> None:
    """For a process that a parent of another kind (uWSGI, Apache) has started beside others of ours."""
    _use(folder_of(instance, parent))


def _use(folder: Path) -> None:
    try:
        _sweep(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_ours(folder):
            raise PermissionError(folder)  # somebody else made it first, in the memory that all users share
    except OSError:  # a read-only instance folder
        folder = Path(tempfile.mkdtemp(prefix="groundwork-metrics-"))
    os.environ[FOLDER] = str(folder)
    merging.merge(folder)


def _sweep(folder: Path) -> None:
    """Removes what is in memory beside this folder of parents that were killed."""
    name, _, _ = folder.name.rpartition("-")
    for other in folder.parent.glob(f"{name}-*") if folder.parent == MEMORY else ():
        # Everybody may make folders there, with any names in them: what is not of our making must not stop a start.
        with contextlib.suppress(OSError, ValueError, OverflowError):
            if not _is_ours(other):
                continue
            heirs = [heir.name.removesuffix(_HEIR) for heir in other.glob(f"*{_HEIR}")]
            if not any(merging.is_alive(int(pid)) for pid in [other.name.rpartition("-")[2], *heirs]):
                shutil.rmtree(other, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    return sys.platform == "win32" or (not folder.is_symlink() and folder.stat().st_uid == os.geteuid())


def remove_folder() -> None:
    if folder := os.environ.pop(FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


def leave(reason: str) -> None:
    """For a worker that ends as it should: "recycled" or "stopped". One that leaves without a word has died."""
    if folder := os.environ.get(FOLDER):
        with contextlib.suppress(OSError):
            Path(folder, f"{_LEFT}{os.getpid()}").write_text(reason, encoding="ascii")


def worker_is_gone(pid: int, reason: str | None = None) -> None:
    """What it has counted is kept, in one file for all that have ended; what only a living one has (gauges) goes.

    `reason`: "unexpected", "stopped", "recycled", or empty for a process that is no worker. None: what it said itself.
    """
    if not (folder := os.environ.get(FOLDER)):
        return
    if reason is None:
        reason = _said(Path(folder, f"{_LEFT}{pid}"))
    merging.merge(Path(folder), ended=pid, reason=reason)


def _said(file: Path) -> str:
    try:
        said = file.read_text(encoding="ascii")
        file.unlink()
    except OSError:
        return "unexpected"
    return said
