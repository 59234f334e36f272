"""Where the worker processes of one server count together: made, and removed, by their parent."""

import os
import shutil
import tempfile
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from app.platform.metrics import FOLDER


def folder_of(instance: Path) -> Path:
    """Where the workers of this parent count. Never a folder that the user named: it is emptied."""
    return instance / "run" / f"metrics-{os.getpid()}"


def make_folder(instance: Path, inherited: bool = False) -> None:
    """For the server's parent; one that took over from another (`inherited`) counts on in that one's folder."""
    if inherited and Path(os.environ.get(FOLDER, "")).is_dir():
        return
    folder = folder_of(instance)
    try:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed and had this one's number
        folder.mkdir(parents=True)
    except OSError:  # a read-only instance folder
        folder = Path(tempfile.mkdtemp(prefix="groundwork-metrics-"))
    os.environ[FOLDER] = str(folder)


def remove_folder() -> None:
    if folder := os.environ.pop(FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


def worker_is_gone(pid: int) -> None:
    """Drops what only a living worker has (gauges); its counters stay, or the sums would fall."""
    if FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
