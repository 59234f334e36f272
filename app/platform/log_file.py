"""The log file that all processes share: rotated under a lock by a kept library, on POSIX and on Windows."""

import os
from io import TextIOWrapper

from concurrent_log_handler import ConcurrentRotatingFileHandler


class SharedLogFile(ConcurrentRotatingFileHandler):
    """Also carries the process's standard output and error along when `start.sh -d` sent them into this file.

    Without that, a traceback printed after a rotation would land in the renamed, later deleted, file.
    """

    def do_open(self, mode: str | None = None) -> TextIOWrapper:
        stream = super().do_open(mode)
        for descriptor in (1, 2):
            if self._is_one_of_ours(descriptor):
                os.dup2(stream.fileno(), descriptor)
        return stream

    def _is_one_of_ours(self, descriptor: int) -> bool:
        rotated = [f"{self.baseFilename}.{number}" for number in range(1, self.backupCount + 1)]
        for name in [self.baseFilename, *rotated]:
            try:
                if os.path.samestat(os.fstat(descriptor), os.stat(name)):
                    return True
            except OSError:  # no such rotated file yet, or the descriptor is closed
                continue
        return False
