"""The packages of each backend, installed beside the environment, and the collectors that stand in for it."""

import contextlib
import http.client
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT
from tests.servers.running import Running, free_port, wait_until

UV = str(Path(sys.executable).with_name("uv"))
TRACED = "benchmarks.tracing.traced:app"


def visit(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Status, request id and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["X-Request-ID"], answer.read().decode()
    finally:
        connection.close()


class Collector:
    """`received` is all that came, as tests.servers.tracing.collector prints it."""

    def __init__(self, kind: str, packages: str, port: int) -> None:
        self.port = port
        command = [sys.executable, "-u", "-m", "tests.servers.tracing.collector", kind, str(port)]
        self.process = Running(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": packages})
        self.process.line_with('"listening": true')

    @property
    def received(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.process.lines if line.startswith("{")]
        return [fields for fields in found if "listening" not in fields]

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]] | None:
            matching = [fields for fields in self.received if wanted(fields)]
            return matching if len(matching) >= count else None

        matching: list[dict[str, Any]] = wait_until(found, 30, lambda: self.process.output[-3000:])
        return matching


@pytest.fixture(scope="session")
def packages_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """`packages_of("otel")`: a PYTHONPATH with what requirements-otel.txt says; a second each, with a warm cache."""
    installed: dict[str, str] = {}

    def install(name: str) -> str:
        if name not in installed:
            folder = str(tmp_path_factory.mktemp(name))
            script = [sys.executable, str(ROOT / "scripts/pip_index.py")]
            said = subprocess.run(script, capture_output=True, text=True, check=True, timeout=30).stdout
            words = [shlex.split(line)[1] for line in said.splitlines() if not line.endswith("}")]
            index = {"UV_INDEX_STRATEGY": "unsafe-best-match"} | dict(word.split("=", 1) for word in words)
            command = [UV, "pip", "install", "--quiet", "--python", sys.executable, "--target", folder]
            command += ["--require-hashes", "-r", f"requirements-{name}.txt"]
            subprocess.run(command, cwd=ROOT, env=os.environ | index, check=True, timeout=100)
            installed[name] = folder
        return installed[name]

    return install


@pytest.fixture
def collector(packages_of: Callable[[str], str]) -> Iterator[Callable[..., Collector]]:
    """`collector("otlp", "otel")`: one on a free port."""
    started: list[Collector] = []

    def start(kind: str, name: str, port: int = 0) -> Collector:
        started.append(Collector(kind, packages_of(name), port or free_port()))
        return started[-1]

    yield start
    for each in started:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
