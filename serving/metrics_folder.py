"""Where the worker processes of one server count together: made, and removed, by their parent."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from app.platform.metrics import FOLDER

# In memory, where Linux has a folder for that: the workers map their files, and a mapped page that finds no room on a
# full disk kills its process (SIGBUS).
MEMORY = Path("/dev/shm")
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
    if inherited and (theirs := os.environ.get(FOLDER)) and os.path.isdir(theirs):
        Path(theirs, f"{os.getpid()}{_HEIR}").touch()
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
        if sys.platform != "win32" and (folder.is_symlink() or folder.stat().st_uid != os.geteuid()):
            raise PermissionError(folder)  # somebody else made it first, in the memory that all users share
    except OSError:  # a read-only instance folder
        folder = Path(tempfile.mkdtemp(prefix="groundwork-metrics-"))
    os.environ[FOLDER] = str(folder)


def _sweep(folder: Path) -> None:
    """Removes what is in memory beside this folder of parents that were killed."""
    name, _, _ = folder.name.rpartition("-")
    for other in folder.parent.glob(f"{name}-*") if folder.parent == MEMORY else ():
        if not other.name.rpartition("-")[2].isdigit():
            continue
        heirs = [heir.name.removesuffix(_HEIR) for heir in other.glob(f"*{_HEIR}")]
        if not any(_is_alive(int(pid)) for pid in [other.name.rpartition("-")[2], *heirs]):
            shutil.rmtree(other, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def remove_folder() -> None:
    if folder := os.environ.pop(FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


def worker_is_gone(pid: int) -> None:
    """Drops what only a living worker has (gauges); its counters stay, or the sums would fall."""
    if FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
