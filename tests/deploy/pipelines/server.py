"""A server to which a pipeline deploys: sshd on loopback, of a user who is not root, with keys of its own."""

import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import ROOT
from tests.deploy.releases.site import Site
from tests.servers.running import Running, free_port

USER = "postgres"  # has a shell, and is no root


class Server:
    """`site` lies in its folder; `settings` is what the environment "production" has."""

    def __init__(self, folder: Path) -> None:
        self._user = pwd.getpwnam(USER)
        self.folder = folder
        folder.chmod(0o755)
        self.site = Site(folder, folder / "srv" / "groundwork", free_port())
        self._environment = self._for_the_user()
        for name in ("host", "login"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True, timeout=30)
        for path in ("srv", "cache", "tmp", "host", "login.pub"):
            if not (folder / path).exists():
                (folder / path).mkdir()
            subprocess.run(["chown", "-R", f"{USER}:", folder / path], check=True, timeout=60)
        self.port = free_port()
        self._sshd = self._start_sshd()
        kind, key = (folder / "host.pub").read_text().split()[:2]
        self.settings = {
            "SSH_KEY": (folder / "login").read_text(),
            "SSH_KNOWN_HOSTS": f"[127.0.0.1]:{self.port} {kind} {key}",
            "SSH_TARGET": f"{USER}@127.0.0.1",
            "SSH_PORT": str(self.port),
            "BASE": str(self.site.base),
        }

    def first_deploy(self) -> subprocess.CompletedProcess[str]:
        """From a clone there, as docs/releases.md says."""
        archive = self.folder / "first.tar"
        self.site.git("archive", f"--output={archive}", "HEAD")
        command = [str(self.site.project.folder / "scripts/deploy.sh"), "--archive", str(archive), str(self.site.base)]
        return subprocess.run(
            [*self._as_user(), *command], env=self._environment, cwd="/", capture_output=True, text=True, timeout=110,
            check=False,
        )  # fmt: skip

    def stop(self) -> None:
        self._sshd.kill()
        if self.site.run_folder.exists():
            self.site.stop()

    def _as_user(self) -> list[str]:
        return ["setpriv", f"--reuid={USER}", f"--regid={self._user.pw_gid}", "--clear-groups"]

    def _for_the_user(self) -> dict[str, str]:
        """What a server's administrator has set: where Python is, uv, and the index for packages."""
        programs = self.folder / "bin"
        programs.mkdir()
        shutil.copy(Path(sys.executable).with_name("uv"), programs)
        (programs / "sudo").write_text('#!/bin/sh\n[ "$1 $2 $3" = "-n -u site" ] || exit 9\nshift 3\nexec "$@"\n')
        (programs / "sudo").chmod(0o755)
        index = subprocess.check_output([sys.executable, ROOT / "scripts/pip_index.py"], text=True, timeout=60)
        lines = [shlex.split(line)[-1] for line in index.splitlines() if "${" not in line]
        found = dict(line.split("=", 1) for line in lines) | {"UV_INDEX_STRATEGY": "unsafe-best-match"}
        found |= {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "PYTHON": "/usr/bin/python3"}
        return found | {"UV_CACHE_DIR": str(self.folder / "cache"), "TMPDIR": str(self.folder / "tmp")}

    def _start_sshd(self) -> Running:
        set_env = " ".join(f'"{name}={value}"' for name, value in self._environment.items())
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.folder}/host", "PidFile none", "UsePAM no",
            f"AuthorizedKeysFile {self.folder}/login.pub", "StrictModes no", "PasswordAuthentication no",
            f"SetEnv {set_env}",
        ]  # fmt: skip
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        sshd = Running(
            [*self._as_user(), "/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")], cwd="/"
        )
        sshd.line_with("Server listening")
        return sshd
