"""A copy of the project, in which a test may run the scripts, change files and break things."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import ROOT, environment
from tests.servers.running import Running

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", "instance", "__pycache__", ".*_cache", ".hypothesis", ".coverage*", "certificates", "acme"
)


class Project:
    """A copy of the project, with the environment of this one unless it is to make its own."""

    port: int

    def __init__(self, folder: Path, environment_too: bool = True) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        if environment_too:
            (folder / ".venv").symlink_to(sys.prefix)
        self.settings = environment(folder / "instance")
        del self.settings["INSTANCE_PATH"]
        self.settings["TMPDIR"] = str(folder)

    def run(self, script: str, *options: str, **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "scripts" / script), *options],
            env=self.settings | {name: str(value) for name, value in settings.items()},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def foreground(self, *options: str, script: str = "start.sh", **settings: object) -> Running:
        env = self.settings | {name: str(value) for name, value in settings.items()}
        return Running([self.folder / "scripts" / script, *options], env=env, cwd="/")

    def pid(self) -> int:
        (pid_file,) = (self.folder / "instance/run").glob("*.pid")
        return int(pid_file.read_text())

    def kill(self) -> None:
        """End the servers of this copy now, each by the pid in its file."""
        for pid_file in (self.folder / "instance/run").glob("*.pid"):
            try:
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue


def path_with_uv(folder: Path) -> str:
    """A PATH that begins with `folder`, which holds the uv of requirements-dev.txt and nothing else.

    It installs a release in seconds where pip takes half a minute, and a clean machine has none.
    """
    folder.mkdir()
    (folder / "uv").symlink_to(Path(sys.executable).with_name("uv"))
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def stamp_for(project: Project) -> None:
    """Says that the borrowed environment is installed here, as start.sh would have written it."""
    venv = project.folder / ".venv"
    venv.unlink()
    venv.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != "installed":
            (venv / part.name).symlink_to(part)
    text = f"# {project.folder}\n" + (project.folder / "requirements.txt").read_text()
    text += (project.folder / "requirements-uwsgi.txt").read_text()
    (venv / "installed").write_text(text)
