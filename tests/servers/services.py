"""Private PostgreSQL and Redis servers for tests: own folder, free port, loopback only, ended by their pid."""

import os
import pwd
import shutil
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


@contextmanager
def postgres() -> Iterator[str]:
    """A DATABASE_URL. PostgreSQL refuses to run as root, so for root it runs as another user."""
    binaries = postgres_binaries()
    assert binaries
    folder = Path(tempfile.mkdtemp(prefix="groundwork-postgres-"))
    prefix: list[str] = []
    if os.geteuid() == 0:
        user = next(user for user in pwd.getpwall() if user.pw_name in {"postgres", "nobody"})
        os.chown(folder, user.pw_uid, user.pw_gid)
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port = free_port()
    # No durability: the data lives as long as the test.
    options = ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=127.0.0.1"]
    try:
        init = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "app", "--auth=trust", "-E", "UTF8"]
        subprocess.run([*prefix, *init], check=True, capture_output=True, timeout=60, cwd=folder)
        command = [*prefix, str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port), *options]
        server = Running(command, cwd=folder)
        try:
            server.line_with("ready to accept connections")
            yield f"postgres://app@127.0.0.1:{port}/postgres"
        finally:
            server.process.terminate()
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
