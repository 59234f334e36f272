"""Stand-ins for the images of a registry: python, postgres, redis and nginx, made of the distribution's packages.

One Debian for all: as soon as it has Python it is the base image of the application; then the servers come into it,
while what a build will install is fetched into the base image, and the engine's plugins beside it.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from config import ROOT
from tests.deploy.containers.engine import Engine, engine, run

BASE = "python:3.13-slim"
SUITE = "trixie"  # what that is made of; it also has the engine's newer plugins
PLUGINS = ("docker-compose", "docker-buildx")
PYTHON = ("ca-certificates", "python3", "python3-pip", "python3-venv")
SERVICES = ("curl", "nginx-light", "postgresql-17", "redis-server")
LOCKS = ("requirements.txt", "requirements-otel.txt")
# PostgreSQL's compiler is a third of everything. Without it statements are interpreted, as short ones always are.
_NOT_UNPACKED = (
    "share/doc/", "share/locale/", "share/man/",
    "lib/*/libLLVM", "lib/postgresql/*/lib/llvm", "lib/postgresql/*/lib/bitcode/",
)  # fmt: skip
_LEFT_OUT = (
    "dev", "proc", "sys", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*",
    "usr/lib/python3*/EXTERNALLY-MANAGED",
)  # fmt: skip
_ADDED = ("./usr/local/bin/python", "./usr/local/bin/python3", "./usr/local/bin/pip", "./etc/pip.conf", "./wheels")
_PATH = "ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def loaded_engine() -> Iterator[Engine]:
    """With the stand-ins in it. GROUNDWORK_IMAGES may name a folder that keeps them from one run to the next."""
    folder = Path(tempfile.mkdtemp(prefix="gw-engine-"))
    kept = Path(os.environ.get("GROUNDWORK_IMAGES") or folder / "images")
    try:
        make(kept)
        add_plugins(kept, folder / "client")
        with engine(folder) as started:
            load(kept, started)
            yield started
    finally:
        run("rm", "-rf", str(folder), check=False)  # 40,000 files


def make(folder: Path) -> None:
    """python.tar, services.tar and the plugins; what is there already is left. Takes a minute, mostly downloads."""
    if (folder / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    site = archive_site()
    with ThreadPoolExecutor() as threads:
        plugins = threads.submit(_fetch_plugins, folder, site)
        roots = threads.submit(_make_roots, folder, site)
        threads.submit(_fill_base, folder, roots.done).result()
        roots.result()
        plugins.result()
    (folder / "made").touch()


def load(folder: Path, engine: Engine) -> None:
    """What make() has made, as images of this engine."""
    like_python = ("--change", 'CMD ["python3"]', "--change", _PATH)
    engine.docker("import", *like_python, str(folder / "python.tar"), BASE)
    engine.docker("import", "--change", _PATH, str(folder / "services.tar"), "redis:8-alpine")
    engine.docker("tag", "redis:8-alpine", "nginx:1.28-alpine")
    standins = Path(__file__).with_name("standins")
    engine.docker("build", "-t", "postgres:17-alpine", "-f", str(standins / "postgres.Dockerfile"), str(standins))


def add_plugins(folder: Path, client: Path) -> None:
    shutil.copytree(folder / "plugins/usr/libexec/docker/cli-plugins", client / "cli-plugins")


def archive_site() -> str:
    """Where this machine gets its packages, whatever that is."""
    lines = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian").stdout
    return lines.splitlines()[0]


def _make_roots(folder: Path, site: str) -> None:
    base = folder / "python.tar"
    left_out = " ".join(f"--exclude='./{name}'" for name in _LEFT_OUT)
    run(
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PYTHON)}",
        "--aptopt=Acquire::Languages none", "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/{path}*" for path in _NOT_UNPACKED),
        # A cluster that nobody uses takes seconds.
        '--essential-hook=mkdir -p "$1/etc/postgresql-common"',
        '--essential-hook=echo create_main_cluster=false >"$1/etc/postgresql-common/createcluster.conf"',
        f"--customize-hook=tar -C \"$1\" {left_out} -cf '{base}.part' . && mv '{base}.part' '{base}'",
        "--customize-hook=APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes -qq "
        f"-oDPkg::Chroot-Directory=\"$1\" {' '.join(SERVICES)} >/dev/null",
        SUITE, str(folder / "services.tar"), site, timeout=900,
    )  # fmt: skip


def _fill_base(folder: Path, is_over: Callable[[], bool]) -> None:
    """Python as the registry's image has it, and the wheels that a build will ask for: it then needs no network."""
    base = folder / "python.tar"
    while not base.exists():
        if is_over():
            return  # it failed, and says why
        time.sleep(0.1)
    pip, more = folder / "pip", folder / "more"
    pip.mkdir()
    (more / "usr/local/bin").mkdir(parents=True)
    (more / "etc").mkdir()
    for name, target in {"python": "python3.13", "python3": "python3.13", "pip": "pip3"}.items():
        (more / "usr/local/bin" / name).symlink_to(f"/usr/bin/{target}")
    (more / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    run("tar", "-C", str(pip), "-xf", str(base), "./usr/lib/python3/dist-packages/pip")
    # The pip of that root, by our Python: it knows this machine's index.
    environment = {**os.environ, "PYTHONPATH": str(pip / "usr/lib/python3/dist-packages")}
    asked = [part for name in LOCKS for part in ("-r", str(ROOT / name))]
    run(
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
        "--only-binary=:all:", "--python-version=3.13", "--dest", str(more / "wheels"), *asked, timeout=600,
        env=environment,
    )  # fmt: skip
    run("tar", "-C", str(more), "--owner=0", "--group=0", "-rf", str(base), *_ADDED)


def _fetch_plugins(folder: Path, site: str) -> None:
    """Compose and buildx, which the distribution has only in its next release: unpacked, not installed."""
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb {site} {SUITE} main\n")
    options = [
        f"-oDir::Etc::SourceList={apt}/sources.list", "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State::lists={apt}/lists", f"-oDir::Cache={apt}/cache", "-oAcquire::Languages=none",
    ]  # fmt: skip
    run("apt-get", *options, "-qq", "update")
    run("apt-get", *options, "-qq", "download", *PLUGINS, cwd=apt)
    for package in apt.glob("*.deb"):
        run("dpkg-deb", "-x", str(package), str(folder / "plugins"))
