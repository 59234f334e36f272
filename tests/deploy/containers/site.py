"""compose.yaml, brought up from a copy of the project."""

import contextlib
import http.client
import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.load import Request
from tests.deploy.containers.engine import Engine, run
from tests.deploy.containers.running import count_up, counted

UP = 300  # seconds that a command may take on a machine that does other things, too


class Site:
    """`port` 80 at the engine's address is nginx."""

    def __init__(self, docker: Engine, folder: Path) -> None:
        self.docker, self.folder = docker, folder

    def compose(self, *arguments: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        return self.script("docker", "compose", *arguments, check=check, **settings)

    def script(self, *command: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = self.docker.environment | {"VERSION": "first"} | settings
        return run(*command, check=check, env=environment, cwd=self.folder, timeout=UP)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).stdout.split()

    def inspect(self, service: str) -> dict[str, Any]:
        return self.docker.inspect(self.containers(service)[0])

    def log(self, *services: str) -> str:
        return self.compose("logs", "--no-color", *services).stdout

    # --- visitors -------------------------------------------------------------------------------

    def connection(self, timeout: float = 15) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.docker.address, 80, timeout=timeout)

    def get(self, path: str, timeout: float = 15, **headers: str) -> tuple[int, dict[str, str], str]:
        with contextlib.closing(self.connection(timeout)) as connection:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return response.status, named, response.read().decode()

    def status(self, path: str, timeout: float = 15) -> int:
        """0: no answer."""
        try:
            return self.get(path, timeout)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/ready")[2])
        return found

    def count_up(self) -> Request:
        return count_up(self.connection())

    def counted(self) -> int:
        return counted(self.get("/counters/1")[2])
