"""A container under test: how it is started, asked and watched."""

import contextlib
import http.client
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.load import Load, Request, Result
from tests.deploy.containers.engine import Engine
from tests.servers.running import wait_until

# As compose.yaml runs it.
LOCKED_UP = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--pids-limit=512",
)


class Container:
    """`port`: where it answers at the engine's address; `_inside`: on which it listens."""

    def __init__(self, docker: Engine, name: str, port: int, inside: int) -> None:
        self.docker, self.name, self.port, self._inside = docker, name, port, inside

    def connection(self, timeout: float = 15) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.docker.address, self.port, timeout=timeout)

    def get(self, path: str, timeout: float = 15) -> tuple[int, str]:
        with contextlib.closing(self.connection(timeout)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def run(self, *command: str) -> str:
        return self.docker.docker("exec", self.name, *command).stdout

    def log(self) -> str:
        done = self.docker.docker("logs", self.name)
        return done.stdout + done.stderr

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.docker.inspect(self.name)["State"]
        return found

    def has_a_visitor(self) -> bool:
        """Somebody from outside is connected: the local address is not 127.0.0.1."""
        connections = self.run("cat", "/proc/net/tcp")
        return re.search(rf" (?!0100007F)[0-9A-F]{{8}}:{self._inside:04X} [0-9A-F:]+ 01 ", connections) is not None

    def wait_for_health(self, seconds: float = 60) -> None:
        wait_until(lambda: self.state["Health"]["Status"] == "healthy", seconds, self.log)


@contextmanager
def container(
    docker: Engine, image: str, *options: str, port: int = 8080, command: tuple[str, ...] = ()
) -> Iterator[Container]:
    """A running one, which may not be healthy yet. `port`: that it listens on."""
    published = f"--publish={port}"  # as whatever is free
    name = docker.docker("run", "--detach", published, *LOCKED_UP, *options, image, *command).stdout.strip()
    try:
        at = docker.docker("port", name, str(port)).stdout.split()[0]
        yield Container(docker, name, int(at.rpartition(":")[2]), port)
    finally:
        docker.docker("rm", "--force", "--volumes", name, check=False)


def count_up(connection: http.client.HTTPConnection) -> Request:
    """What a visitor's browser sends for the button on the page of counter 1."""
    with contextlib.closing(connection):
        connection.request("GET", "/counters/1")
        response = connection.getresponse()
        page = response.read().decode()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token, page
    cookie = response.headers["Set-Cookie"].partition(";")[0]
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", "/counters/1", f"csrf_token={token[1]}", headers)


def counted(page: str) -> int:
    match = re.search(r"Counted to (\d+)", page)
    assert match, page
    return int(match[1])


def seconds_until_healthy(docker: Engine, image: str) -> float:
    """From `docker run` to the engine's own verdict."""
    began = time.monotonic()
    with container(docker, image) as started:
        started.wait_for_health()
        return time.monotonic() - began


def small_machine(docker: Engine, image: str, seconds: float) -> tuple[int, list[str], Result]:
    """Half a CPU and 256 MB under load: how many workers, what had to be started again, the load."""
    with container(docker, image, "--cpus=0.5", "--memory=256m", "--memory-swap=256m") as started:
        started.wait_for_health()
        chosen = re.search(r"Gunicorn with (\d+) gthread workers", started.log())
        assert chosen, started.log()
        started.run("flask", "--app", "wsgi", "make-counters")
        write = count_up(started.connection())
        result = Load(0, "/", "/counters/", write, keep_alive=4, close=4, connection=started.connection).run_for(
            seconds
        )
        again = re.findall(r"WORKER TIMEOUT|was sent SIG\w+|does jobs, ended|ended with code \d+", started.log())
        if started.state["OOMKilled"] or not started.state["Running"]:
            again.append("the container")
        return int(chosen[1]), again, result
