"""The live settings of this process: looked for at most once a second, while a request is there to do it.

No thread, and no watch of the file system: what is compared works on ConfigMaps, on network mounts and on Windows. A
file that can not be used changes nothing, whatever is wrong with it: the last good settings stay in force.
"""

import contextlib
import logging
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask, current_app

from app.extras.live_settings.schema import SIZE_LIMIT, FaultError, Settings, parse

LOOK = 1.0  # seconds between two looks
SETTLING = 0.05  # seconds; a file so young may still be being written, and is left to the next look
_log = logging.getLogger("groundwork.live_settings")


class Live:
    """`now` is in force; `fault` says what is wrong with the file as it is, if that is not what is in force."""

    def __init__(self, app: Flask, path: Path) -> None:
        self.path, self.folder = path, Path(app.instance_path, "run")
        self.now, self.fault, self.closed, self.next_look, self._looked_in = Settings(), "", False, 0.0, 0
        self._app = app
        self._kept = self.folder / "live-last-good.toml"
        self._seen: Any = None
        self._lock = threading.Lock()
        self._earlier_levels: dict[str, int] = {}
        self.look()

    def look_if_due(self) -> None:
        """One `stat` a second, however many threads ask."""
        if self._lock.acquire(timeout=LOOK):  # others wait for it: what is known may be as old as the server
            try:
                if time.monotonic() >= self.next_look:
                    self._look(SETTLING)
                    self.next_look = time.monotonic() + LOOK
            finally:
                self._lock.release()

    def look(self) -> None:
        """At once: at the start, and for who has just changed the file."""
        with self._lock:
            self._look(settling=0)

    def _look(self, settling: float) -> None:
        seen: Any = ()
        changed_at = 0.0
        try:
            found = os.stat(self.path)
            # Two edits within one tick of a coarse clock differ in size, or in inode where the file is replaced.
            seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            changed_at = found.st_mtime
        except FileNotFoundError:
            with contextlib.suppress(OSError):  # some editors take the old file away before the new one is there
                changed_at = os.stat(self.path.parent).st_mtime if self._seen else 0.0
        except OSError as error:
            seen = error.errno
        if 0 <= time.time() - changed_at < settling:
            return
        is_first, self._looked_in = self._looked_in != os.getpid(), os.getpid()
        if seen == self._seen:
            return
        try:
            settings = parse(text := self._text() if seen else "")
        except (FaultError, OSError, UnicodeDecodeError) as error:
            self.fault = str(error)
            _log.error("%s is not used, what was in force stays: %s", self.path, self.fault.replace("\n", "; "))
            settings = self.now
            if is_first:  # or a worker that starts after somebody has spoilt the file would not do as the others
                with contextlib.suppress(OSError, UnicodeDecodeError, FaultError):
                    settings = parse(self._kept.read_bytes().decode())
        else:
            self.fault = ""
            self._keep(text)
        self._apply(settings)
        self._seen = seen

    def _text(self) -> str:
        if not self.path.is_file():  # opening a pipe would wait for its other end
            raise FaultError("it is no file")
        if len(data := self.path.read_bytes()) > SIZE_LIMIT:
            raise FaultError(f"it is larger than {SIZE_LIMIT} bytes")
        return data.decode("utf-8-sig")  # Windows' editors begin a file with a mark

    def _apply(self, settings: Settings) -> None:
        before, after = self.now.by_name(), settings.by_name()
        names = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
        if names and self._seen is not None:  # not at the start
            _log.info("live settings: %s", ", ".join(f"{name}={after.get(name, '(not set)')}" for name in names))
        self.now, self.closed = settings, settings.maintenance.on
        self._app.extensions["flags"] = settings.flags
        for name in self._earlier_levels.keys() - settings.log_levels.keys():
            logging.getLogger(name).setLevel(self._earlier_levels.pop(name))
        for name, level in settings.log_levels.items():
            self._earlier_levels.setdefault(name, logging.getLogger(name).level)
            logging.getLogger(name).setLevel(level)

    def _keep(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a disk that can only be read, or is full
            if (self._kept.read_bytes() if self._kept.exists() else b"") != text.encode():
                write_whole(self._kept, text)


def current() -> Live:
    """Those of the application, as the file is now: for who shows or changes them."""
    live: Live = current_app.extensions["live_settings"]
    live.look()
    return live


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all, also when the machine loses its power; owner and permissions stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    like = os.stat(path if path.exists() else path.parent)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        os.chmod(draft, like.st_mode & (0o666 if path.exists() else 0o644))
        with contextlib.suppress(AttributeError, PermissionError):  # only root may, who works for the owner
            os.chown(draft, like.st_uid, like.st_gid)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)
