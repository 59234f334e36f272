"""Private PostgreSQL and Redis servers for tests: own folder, free port, loopback only, ended by their pid."""

import contextlib
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
from urllib.parse import urlsplit

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
        user, self._prefix = as_nobody()
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
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
                with contextlib.suppress(ProcessLookupError):
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


def as_nobody() -> tuple[pwd.struct_passwd | None, list[str]]:
    """Another user, and how to run as that one, for servers that refuse to be root."""
    if os.geteuid():
        return None, []
    user = next(user for user in pwd.getpwall() if user.pw_name in {"postgres", "nobody"})
    return user, ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def pgbouncer_binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pgbouncer(database_url: str, server_connections: int, port: int | None = None, **settings: object) -> Iterator[str]:
    """A DATABASE_URL of a PgBouncer with transaction pooling, which has so many connections to the database."""
    folder, port = Path(tempfile.mkdtemp(prefix="groundwork-pgbouncer-")), port or free_port()
    user, prefix = as_nobody()
    known = {"listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "pool_mode": "transaction"}
    known |= {"auth_type": "trust", "auth_file": folder / "users", "max_client_conn": 500}
    known |= {"default_pool_size": server_connections} | settings
    lines = [f"{name} = {value}" for name, value in known.items()]
    database = f"* = host=127.0.0.1 port={urlsplit(database_url).port}"
    (folder / "users").write_text('"app" ""\n')
    (folder / "pgbouncer.ini").write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
    if user:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    binary = pgbouncer_binary()
    assert binary
    server = Running([*prefix, binary, str(folder / "pgbouncer.ini")])
    try:
        wait_until(lambda: _accepts(port), 10, lambda: server.output)
        yield f"postgres://app@127.0.0.1:{port}/postgres"
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """A DATABASE_URL."""
    with postgres_server() as server:
        yield server.url


class Redis:
    """A Redis server that can be stopped and started again, and then is empty."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it accepts connections."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.server = Running([*command, "--dir", str(self._folder)])
        wait_until(lambda: _accepts(self.port), 10, lambda: self.server.output)

    def command(self, *words: str) -> str:
        asked = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10).stdout

    def stop(self) -> None:
        """At once, and also when it hangs."""
        self.server.kill()


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A running one."""
    with tempfile.TemporaryDirectory(prefix="groundwork-redis-") as folder:
        server = Redis(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def redis() -> Iterator[str]:
    """A REDIS_URL."""
    with redis_server() as server:
        yield server.url


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
