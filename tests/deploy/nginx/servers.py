"""The application on a unix socket, as behind nginx: Gunicorn, or uWSGI, with a deployed folder of its own."""

import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT, environment, flask
from tests.deploy.edge import DOMAIN, let_nginx_read
from tests.servers.running import Running, wait_until

LIVE = "tests.deploy.nginx.live:app"


class SocketConnection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: Path, timeout: float = 15) -> None:
        super().__init__(DOMAIN, timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def gunicorn(base: Path, bound: Path, *options: str, application: str = LIVE, **settings: Any) -> Iterator[Running]:
    """With the instance folder `base`/shared/instance, migrated, which nginx may read as docs/nginx.md says."""
    command = [str(Path(sys.executable).with_name("gunicorn")), "-w", "2", "--bind", f"unix:{bound}"]
    with _serving([*command, *options, application], base, bound, **settings) as server:
        yield server


@contextmanager
def uwsgi(base: Path, bound: Path, **settings: Any) -> Iterator[Running]:
    module = ["--module", LIVE, "--master", "--processes", "2", "--threads", "4", "--buffer-size", "65535"]
    command = [str(Path(sys.executable).with_name("uwsgi")), "--socket", str(bound), "--chmod-socket=666"]
    command += [
        "--virtualenv",
        sys.prefix,
        "--pythonpath",
        str(ROOT),
        "--die-on-term",
        "--disable-logging",
        "--need-app",
    ]
    with _serving([*command, *module], base, bound, **settings) as server:
        yield server


def logged(server: Running, request_id: str) -> dict[str, Any]:
    """The application's access line for the request with this id."""
    line = server.line_with(f'"access","request_id":"{request_id}"', 10)
    entry: dict[str, Any] = json.loads(line)
    return entry


@contextmanager
def _serving(command: list[str], base: Path, bound: Path, **settings: Any) -> Iterator[Running]:
    instance = base / "shared/instance"
    instance.mkdir(parents=True, exist_ok=True)
    trust = {"TRUSTED_PROXIES": 1, "TRUSTED_HOSTS": DOMAIN, "HOST": f"unix:{bound}", "LOG_FORMAT": "json"}
    before = os.umask(0o027)  # as deploy/systemd has it
    try:
        flask(instance, "db", "upgrade")
        let_nginx_read(instance)
        server = Running(command, cwd=ROOT, env=environment(instance, **trust | settings))
    finally:
        os.umask(before)
    try:
        wait_until(lambda: _accepts(server, bound), 40, lambda: server.output)
        let_nginx_read(instance)  # what it has published
        yield server
    finally:
        server.process.terminate()
        server.kill()
        bound.unlink(missing_ok=True)


def _accepts(server: Running, bound: Path) -> bool:
    assert server.process.poll() is None, server.output
    if not bound.exists():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(bound)) == 0
