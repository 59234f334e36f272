"""A server under test: its output as lines, requests to it, and its end by pid whatever happened."""

import contextlib
import http.client
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STAND_IN = """
import os, time
OPEN = [open(os.devnull) for _ in range(40)]  # as an application has its log files and database connections open

def app(environ, start_response):
    received = environ["wsgi.input"].read()
    if environ["PATH_INFO"].startswith("/slow"):
        time.sleep(2)
    body = f"{os.name} {os.getpid()} {len(received)}\\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

SERVE = """
import sys
from serving.waitress_server import serve
application, port, processes = sys.argv[1:]
sys.exit(serve(application, host="127.0.0.1", port=int(port), processes=int(processes), threads=4))
"""


class Running:
    """A process whose standard output and error are collected while it runs."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            **options,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\r\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def line_with(self, text: str, seconds: float = 30) -> str:
        """Wait for a line that contains ``text``; a process that ended without it is not waited for."""

        def found() -> str | None:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            line = next((line for line in self.lines if text in line), None)
            assert line or not ended, f"ended without '{text}': {self.output}"
            return line

        line: str = wait_until(found, seconds, lambda: self.output)
        return line

    def end(self, seconds: float = 40) -> int:
        """Wait for the process to end by itself; returns its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        """End it and its children now, each by its pid."""
        with contextlib.suppress(OSError):
            for child in self.children():
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.end(10)


def wait_until(condition: Callable[[], Any], seconds: float, explain: Callable[[], str] = str) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s; {explain()}"
        time.sleep(0.05)
    return result


def free_port() -> int:
    """Below those that the kernel gives to connections: nobody beside takes it before the server does."""
    while True:
        port = 12_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def get(port: int, path: str = "/", timeout: float = 15, accept: str = "*/*") -> tuple[int, dict[str, str], str]:
    """One request on a connection of its own: status, headers with names in lower case, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read().decode()
    finally:
        connection.close()


def slow_request(port: int) -> tuple[threading.Thread, list[tuple[int, dict[str, str], str]]]:
    """Ask the stand-in for an answer that takes 2 s; returns the visitor, and the list that the answer comes into."""
    answers: list[tuple[int, dict[str, str], str]] = []
    visitor = threading.Thread(target=lambda: answers.append(get(port, "/slow")))
    visitor.start()
    time.sleep(0.3)  # so that it is running when the test goes on
    return visitor, answers


def pid_that_answers(port: int) -> int:
    match = re.fullmatch(r"(posix|nt) (\d+) 0\n", get(port)[2])
    assert match
    return int(match[2])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
