"""Private PostgreSQL and Redis servers for tests: own folder, free port, loopback only, ended by their pid."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.running import Running, free_port, wait_until


def postgres_binaries() -> Path | None:
    """The newest folder with initdb and postgres, as Debian's packages or the PATH have it."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class Postgres:
    """A PostgreSQL server that can be stopped and started again. It refuses to be root: then it is another user."""

    def __init__(self, binaries: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="groundwork-postgres-"))
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            user = next(user for user in pwd.getpwall() if user.pw_name in {"postgres", "nobody"})
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.port, data, self._binaries = free_port(), str(self.folder / "data"), binaries
        self.url = f"postgres://app@127.0.0.1:{self.port}/postgres"
        init = [str(binaries / "initdb"), "-D", data, "-U", "app", "--auth=trust", "-E", "UTF8"]
        subprocess.run([*self._prefix, *init], check=True, capture_output=True, timeout=60, cwd=self.folder)
        # No durability: the data lives as long as the test.
        options = [
            "-c",
            "fsync=off",
            "-c",
            f"unix_socket_directories={self.folder}",
            "-c",
            "listen_addresses=127.0.0.1",
        ]
        self._command = [*self._prefix, str(binaries / "postgres"), "-D", data, "-p", str(self.port), *options]

    def start(self) -> None:
        """Returns when it accepts connections."""
        self.server = Running(self._command, cwd=self.folder)
        self.server.line_with("ready to accept connections")

    def stop(self) -> None:
        """At once: connections are cut off, transactions rolled back."""
        self.server.process.send_signal(signal.SIGINT)  # which PostgreSQL calls a fast shutdown
        self.server.end()

    def processes(self) -> list[int]:
        return [self.server.process.pid, *self.server.children()]

    def remove(self) -> None:
        if hasattr(self, "server") and self.server.process.poll() is None:
            for pid in self.processes():
                os.kill(pid, signal.SIGCONT)
            self.server.process.terminate()
            self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running one."""
    binaries = postgres_binaries()
    assert binaries
    server = Postgres(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def postgres() -> Iterator[str]:
    """A DATABASE_URL."""
    with postgres_server() as server:
        yield server.url


@contextmanager
def redis() -> Iterator[str]:
    """A REDIS_URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="groundwork-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = Running(command)
        try:
            wait_until(lambda: _accepts(port), 10, lambda: server.output)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
