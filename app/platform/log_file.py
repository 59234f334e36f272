"""The log file that all processes share: rotated under a lock by a kept library, on POSIX and on Windows."""

import contextlib
import logging
import os
import sys
import time
from io import TextIOWrapper

from concurrent_log_handler import ConcurrentRotatingFileHandler

from app.platform import logs

LOOK = 1.0  # seconds between two looks at the file's size, and at whether another process has rotated it


def write_line(line: str) -> None:
    """One access line into the shared file, if logging goes to one; never raises."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, SharedLogFile):
            with contextlib.suppress(OSError):
                handler.write_line(line)


class SharedLogFile(ConcurrentRotatingFileHandler):
    """Also carries the process's standard output and error along when `start.sh -d` sent them into this file.

    Without that, a traceback printed after a rotation would land in the renamed, later deleted, file.
    """

    _descriptor = -1
    _next_look = 0.0

    def write_line(self, line: str) -> None:
        """Appends raw, 5 µs where the library's way under its lock takes 36; that way is taken once a second.

        After another process's rotation lines go to the renamed file for at most a second: none is lost.
        """
        now = time.monotonic()
        if now < self._next_look and self._descriptor >= 0:
            os.write(self._descriptor, line.encode() + b"\n")
            return
        self._next_look = now + LOOK if sys.platform != "win32" else now  # Windows renames no file that is open
        self.handle(logging.makeLogRecord({"name": logs.ACCESS, "msg": line, "levelname": "INFO"}))
        if sys.platform != "win32":
            self._reopen()

    def _reopen(self) -> None:
        current = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        if self._descriptor < 0:
            self._descriptor = current
        else:
            os.dup2(current, self._descriptor, inheritable=False)  # in place: another thread may be writing
            os.close(current)

    def do_open(self, mode: str | None = None) -> TextIOWrapper:
        stream = super().do_open(mode)
        for descriptor in (1, 2):
            if self._is_one_of_ours(descriptor):
                os.dup2(stream.fileno(), descriptor)
        return stream

    def _is_one_of_ours(self, descriptor: int) -> bool:
        rotated = [f"{self.baseFilename}.{number}" for number in range(1, self.backupCount + 1)]
        for name in [self.baseFilename, *rotated]:
            with contextlib.suppress(OSError):  # no such rotated file yet, or the descriptor is closed
                if os.path.samestat(os.fstat(descriptor), os.stat(name)):
                    return True
        return False
