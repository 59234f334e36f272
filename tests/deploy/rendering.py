"""Renders the files of deploy/ for the tests, and remembers which of the rendered ones a server has opened.

The kernel tells of each file below a folder with rendered ones that was opened for reading and closed (inotify), so a
file that is shipped but never read by a real server is found out (tests/deploy/test_every_file.py).
"""

import atexit
import subprocess
import threading
import time
from pathlib import Path

from config import ROOT
from scripts.render import render

rendered: dict[Path, str] = {}  # where it was written to -> its path below deploy/
_opened: set[Path] = set()
_watched: set[Path] = set()


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
    return {file for file in files if not file.endswith(".md")}


def read_by_a_server() -> set[str]:
    time.sleep(0.5)  # so that the last events arrive
    return {file for target, file in rendered.items() if target in _opened}


def _watch(folder: Path) -> None:
    if folder in _watched:
        return
    if not _watched:
        atexit.register(end_watching)  # also of a benchmark
    _watched.add(folder)
    watcher = subprocess.Popen(
        ["inotifywait", "--monitor", "--event", "close_nowrite", "--format", "%w%f", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stderr
    assert watcher.stdout
    for line in watcher.stderr:
        if "established" in line:
            break
    else:
        raise RuntimeError(f"inotifywait ended with {watcher.wait()}: are fs.inotify.max_user_instances used up?")
    _watchers.append(watcher)
    threading.Thread(target=_collect, args=(watcher,), daemon=True).start()


def _collect(watcher: "subprocess.Popen[str]") -> None:
    assert watcher.stdout
    for line in watcher.stdout:
        _opened.add(Path(line.rstrip("\n")))


_watchers: "list[subprocess.Popen[str]]" = []


def end_watching() -> None:
    for watcher in _watchers:
        watcher.kill()
        watcher.wait()
        for stream in (watcher.stdout, watcher.stderr):
            if stream:
                stream.close()
    _watchers.clear()
    _watched.clear()
