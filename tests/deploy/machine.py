"""A machine of its own for a test: this machine's Debian, booted by systemd, with no network but its own loopback.

The image is made once per run (20 s); each machine then is an overlay on it that boots in a second, and leaves nothing.
"""

import atexit
import ctypes
import functools
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.servers import ROOT
from tests.deploy import rendering
from tests.servers.project import NOT_COPIED
from tests.servers.running import Running, wait_until

BASE = "/srv/groundwork"
VENV = "/opt/venv"  # what requirements.txt says, shared by the releases of a test
CACHE = "/opt/cache"  # uv's, from which the machine installs without a network: `source /opt/uv` says how
PACKAGES = "systemd,systemd-sysv,dbus,procps,python3,nginx-light,sudo"
_LEAN = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"]
DOWNLOAD = "240"  # seconds for 60 MB of packages on a bad day; `timeout` ends the whole process group
_CLONE_NEWNET = 0x40000000


@functools.cache
def image() -> Path:
    """A root folder with Debian and our environment, removed when the tests end. Of this machine's suite and mirror."""
    folder = Path(tempfile.mkdtemp(prefix="gw-image-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    suite, mirror = _debian()
    options = ["--quiet", "--variant=minbase", f"--include={PACKAGES}", "--aptopt=Acquire::Languages none"]
    options += ["--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude={path}" for path in _LEAN)]
    _check(["timeout", DOWNLOAD, "mmdebstrap", *options, suite, str(folder), mirror])
    (folder / "etc/machine-id").write_text("")  # each boot makes one
    # The same Python as out here, because of the same suite; relocatable, so that it can be filled from out here.
    install = f"""
        # No folder of this machine's, which is missing in there: the lock file names what the first index has.
        index="$({ROOT}/.venv/bin/python scripts/pip_index.py | grep -Ev 'FIND_LINKS|UV_INDEX=')"
        eval "$index"
        echo "$index" >{folder}/opt/uv
        echo "export UV_OFFLINE=1 UV_CACHE_DIR={CACHE}" >>{folder}/opt/uv
        export UV_CACHE_DIR={folder}{CACHE}
        cp "$(command -v uv)" {folder}/usr/bin/uv
        uv venv --quiet --relocatable --python /usr/bin/python3 {folder}{VENV}
        export VIRTUAL_ENV={folder}{VENV}
        uv pip install --quiet --compile-bytecode --require-hashes -r requirements.txt
    """
    path = f"{ROOT}/.venv/bin:{os.environ['PATH']}"
    _check(["timeout", DOWNLOAD, "bash", "-ec", install], cwd=ROOT, env=os.environ | {"PATH": path})
    return folder


def _debian() -> tuple[str, str]:
    targets = ["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages", "Origin: Debian"]
    lines = _check(targets).splitlines()
    codename = next(line.partition("=")[2] for line in _os_release() if line.startswith("VERSION_CODENAME="))
    return codename, next(line.partition(" ")[2] for line in lines if line.startswith(f"{codename} "))


def _os_release() -> list[str]:
    return Path("/etc/os-release").read_text().splitlines()


def _check(command: list[str], **options: Any) -> str:
    completed = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert completed.returncode == 0, f"{' '.join(command)}: {completed.stdout[-2000:]}{completed.stderr[-4000:]}"
    return completed.stdout


class Machine:
    """What a test does to a machine that runs: commands inside, files from outside, connections from both."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root, self.leader = root, leader

    def path(self, inside: str) -> Path:
        """A file of the machine's disk. What is mounted in there, like /run, is seen at `live()`."""
        return self.root / inside.lstrip("/")

    def live(self, inside: str) -> str:
        return f"/proc/{self.leader}/root{inside}"

    def try_run(self, *command: str, user: str = "root", cwd: str = "/") -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid"]
        become = ["runuser", "-u", user, "--"] if user != "root" else []
        clean = ["env", "-i", "-C", cwd, "PATH=/usr/sbin:/usr/bin", "LC_ALL=C.UTF-8"]
        return subprocess.run(
            [*enter, *clean, *become, *command], capture_output=True, text=True, timeout=100, check=False
        )

    def run(self, *command: str, user: str = "root", cwd: str = "/") -> str:
        """The output of a command inside, both streams; it has to succeed."""
        completed = self.try_run(*command, user=user, cwd=cwd)
        assert completed.returncode == 0, f"{command}: {completed.stdout}{completed.stderr}"
        return completed.stdout + completed.stderr

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager")

    def release(self, name: str, base: str = BASE) -> Path:
        """This project as a release; `switch_to()` makes it the current one."""
        folder = self.path(f"{base}/releases/{name}")
        shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
        (folder / "RELEASE").write_text(f"{name}\n")
        links = {".env": "../../shared/.env", "instance": "../../shared/instance", ".venv": VENV}
        for link, target in links.items():
            (folder / link).symlink_to(target)
        # As an installation does it: the service can not write what would be compiled at its start.
        self.run(f"{VENV}/bin/python", "-m", "compileall", "-q", "app", "serving", cwd=f"{base}/releases/{name}")
        self.run("chown", "-Rh", f"--reference={base}", f"{base}/releases/{name}")
        return folder

    def switch_to(self, name: str, base: str = BASE) -> None:
        link = self.path(f"{base}/current.new")
        link.symlink_to(f"releases/{name}")
        link.replace(self.path(f"{base}/current"))

    def will_read(self, **files: str) -> None:
        """These files of deploy/ are about to be put at these places in the machine: rendering.py watches them."""
        for file, target in files.items():
            self.path(target).parent.mkdir(parents=True, exist_ok=True)
            rendering.remember(file, self.path(target))

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to a port of the machine: the socket of a thread that was in the machine's network."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._connect_inside, port, timeout).result()

    def _connect_inside(self, port: int, timeout: float) -> socket.socket:
        with open(f"/proc/{self.leader}/ns/net") as network:
            result = ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET)
        assert result == 0, os.strerror(ctypes.get_errno())
        return socket.create_connection(("127.0.0.1", port), timeout)

    def connection(self, timeout: float = 20) -> "UnixConnection":
        """To the socket that the site's proxy uses."""
        return UnixConnection(self.live("/run/groundwork/web.sock"), timeout)

    def get(self, path: str, timeout: float = 20) -> tuple[int, str]:
        """One request on the service's socket, as the proxy would send it: status and body."""
        connection = self.connection(timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": "www.example.com", "Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("www.example.com", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextmanager
def booted() -> Iterator[Machine]:
    """A machine that runs. It ends, and its disk is removed, whatever happens."""
    lower, folder = image(), Path(tempfile.mkdtemp(prefix="gw-"))
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    layers = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
    try:
        _check(["mount", "-t", "overlay", "overlay", "-o", layers, f"{folder}/root"])
        nspawn = ["systemd-nspawn", f"--directory={folder}/root", f"--machine={folder.name.replace('_', 'x')}"]
        nspawn += ["--register=no", "--keep-unit", "--private-network", "--console=pipe", "--boot"]
        container = Running(nspawn, start_new_session=True)
        try:
            machine = wait_until(lambda: _up(folder / "root", container), 90, lambda: container.output)
            yield machine
            os.kill(machine.leader, signal.SIGRTMIN + 3)  # "halt", to a systemd that is process 1
            container.end(60)
        finally:
            container.kill()
    finally:
        _unmount(folder / "root")
        shutil.rmtree(folder, ignore_errors=True)


def _up(root: Path, container: Running) -> Machine | None:
    """The machine, once its systemd has started all it is to start. An earlier child of the container only prepares."""
    for child in container.children():
        machine = Machine(root, child)
        if machine.try_run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}:
            return machine
    return None


def _unmount(folder: Path) -> None:
    for _ in range(50):
        if (
            not folder.is_mount()
            or subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0
        ):
            return
        time.sleep(0.1)  # the last process of a machine that was killed is still leaving
    subprocess.run(["umount", "--lazy", str(folder)], check=False)
