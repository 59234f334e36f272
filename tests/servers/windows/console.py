"""A console in which somebody has started a program for Windows, and can press Ctrl-C."""

import contextlib
import os
import subprocess
import threading
from pathlib import Path

from tests.servers.running import wait_until
from tests.servers.wine import Windows


class Console:
    def __init__(
        self, windows: Windows, *arguments: str, cwd: Path, python: Path | None = None, **variables: str
    ) -> None:
        self._windows, self._output = windows, b""
        self._terminal, end = os.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "wine", python or windows.python, *arguments],
            stdin=end,
            stdout=end,
            stderr=end,
            cwd=cwd,
            env=windows.environment(TERM="xterm", **variables),
        )
        os.close(end)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # what a terminal answers once nobody writes to it
            while text := os.read(self._terminal, 65536):
                self._output += text

    @property
    def text(self) -> str:
        return self._output.decode(errors="replace")

    def wait_for(self, text: str, seconds: float = 30) -> None:
        wait_until(lambda: text in self.text, seconds, lambda: self.text)

    def press_ctrl_c(self) -> None:
        os.write(self._terminal, b"\x03")

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._windows.end_all()
        self._reader.join(5)
        os.close(self._terminal)
