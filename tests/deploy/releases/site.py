"""A site that is deployed with scripts/deploy.sh, from a git repository that holds good and broken releases."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.servers import environment
from scripts.preflight import UnixConnection
from tests.servers.project import Project, path_with_uv
from tests.servers.running import Running, get, wait_until

NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "ffffffffffff"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    {step}


def downgrade():
    pass
"""


def append(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n{line}\n"


class Site:
    """`base` is the site's folder; the server listens on `unix_socket`, or on `port` if there is none."""

    def __init__(self, folder: Path, base: Path, port: int, unix_socket: Path | None = None) -> None:
        self.base, self.port, self.unix_socket = base, port, unix_socket
        self.project = Project(folder / "repository", environment_too=False)
        self.environment = environment(folder, GIT_CONFIG_GLOBAL=os.devnull)
        del self.environment["INSTANCE_PATH"]
        self.environment["PATH"] = path_with_uv(folder / "programs")
        listen = f"HOST=unix:{unix_socket}\nTRUSTED_PROXIES=1" if unix_socket else f"HOST=127.0.0.1\nPORT={port}"
        (base / "shared").mkdir(parents=True)
        settings = base / "shared/.env"
        settings.write_text(f"{listen}\nWORKERS=2\n", encoding="utf-8")
        settings.chmod(0o640)  # deploy.sh refuses one that everybody can read
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("first")

    # --- what is in the repository ---------------------------------------------------------------

    def commit(self, tag: str, **changed: Callable[[str], str]) -> str:
        """Commits the files as they are, after `change(text)` of those named like app__pages__views."""
        for name, change in changed.items():
            file = self.project.folder / f"{name.replace('__', '/')}.py"
            file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
        self.git("add", "--all")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", tag)
        self.git("tag", tag)
        return tag

    def undo(self) -> None:
        """The next commit does not have what the last one changed."""
        self.git("reset", "--quiet", "--hard", "HEAD~1")

    def broken(self, tag: str, **changed: Callable[[str], str]) -> str:
        self.commit(tag, **changed)
        self.undo()
        return tag

    def migration(self, tag: str, step: str, more: str = "") -> str:
        """A release with one more migration, which the releases after it lack."""
        versions = self.project.folder / "migrations/versions"
        head = sorted(versions.glob("*.py"))[-1].name.split("_")[1]
        text = NEXT_MIGRATION.format(head=head, step=step) + more
        (versions / "20991231_ffffffffffff_next.py").write_text(text, encoding="utf-8")
        return self.broken(tag)

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """In the repository, or in another folder."""
        command = ["git", "-C", str(folder or self.project.folder), *arguments]
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    # --- what an operator types ------------------------------------------------------------------

    def deploy(self, *options: str, **more: object) -> subprocess.CompletedProcess[str]:
        return self.run("deploy.sh", "--as-root", *options, str(self.base), **more)

    def rollback(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("rollback.sh", str(self.base), *options)

    def begin(self, *options: str) -> Running:
        """A deploy that the test does not wait for."""
        command = [self.project.folder / "scripts/deploy.sh", "--as-root", *options, str(self.base)]
        return Running(command, env=self.environment, cwd="/", start_new_session=True)

    def run(self, script: str, *options: str, **more: object) -> subprocess.CompletedProcess[str]:
        command = [str(self.project.folder / "scripts" / script), *options]
        return subprocess.run(
            command,
            env=self.environment | {"PYTHON": sys.executable},
            cwd="/",
            capture_output=True,
            timeout=110,
            check=False,
            text=True,
            **more,  # type: ignore[call-overload]
        )

    # --- what it did -----------------------------------------------------------------------------

    def ready(self) -> dict[str, object]:
        if self.unix_socket is None:
            return dict(json.loads(get(self.port, "/ready")[2]))
        with contextlib.closing(UnixConnection(str(self.unix_socket))) as connection:
            connection.request("GET", "/ready")
            return dict(json.loads(connection.getresponse().read()))

    @property
    def current(self) -> str:
        return os.path.basename(os.readlink(self.base / "current"))

    @property
    def master(self) -> int:
        (file,) = (self.base / "shared/instance/run").glob("*.gunicorn.pid")
        return int(file.read_text())

    @property
    def releases(self) -> list[str]:
        return sorted(folder.name for folder in (self.base / "releases").iterdir())

    @property
    def run_folder(self) -> Path:
        return self.base / "shared/instance/run"

    def masters(self) -> list[int]:
        found = []
        for file in self.run_folder.glob("*.pid"):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                found.append(int(file.read_text()))
        return found

    def stop(self) -> None:
        for master in self.masters():
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGTERM)
        wait_until(lambda: not self.masters(), 40)
