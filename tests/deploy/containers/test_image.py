"""What is in the image, and what is not."""

import shutil
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from config import ROOT
from tests.deploy.containers.conftest import Figure
from tests.deploy.containers.engine import Engine, run
from tests.deploy.containers.images import BASE
from tests.deploy.containers.project import PLANTED, SECRET, VERSION, build

pytestmark = pytest.mark.timeout(600)
WARM_BUILD = 30.0  # seconds
SIZE = 220_000_000  # bytes over the base image
COMPILERS = {"gcc", "g++", "cc", "c++", "clang", "cc1", "tcc", "ld", "as", "make", "rustc", "go"}


@pytest.fixture(scope="module")
def saved(docker: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as a registry gets it."""
    archive = tmp_path_factory.mktemp("saved") / "image.tar"
    docker.docker("save", "-o", str(archive), image)
    return archive


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Each file of each layer, deleted ones of lower layers too, and the image's own description."""

    def content(of: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
        found = of.extractfile(member)
        assert found
        return found

    with tarfile.open(archive) as image:
        for part in image:
            if not part.isfile():
                continue
            if not part.name.endswith("layer.tar"):
                yield part.name, content(image, part).read()
                continue
            with tarfile.open(fileobj=content(image, part)) as layer:
                for member in layer:
                    yield member.name, content(layer, member).read() if member.isfile() else b""


def layers(docker: Engine, name: str) -> list[str]:
    found: list[str] = docker.inspect(name)["RootFS"]["Layers"]
    return found


def test_no_secret_database_or_repository_is_in_any_layer(saved: Path) -> None:
    seen, with_secret = set(), []
    for name, text in files(saved):
        seen.add(name)
        if SECRET.encode() in text:
            with_secret.append(name)
    assert "app/wsgi.py" in seen  # so it was looked into
    assert with_secret == []
    assert {f"app/{name}" for name in PLANTED} & seen == set()


def test_nobody_compiles_or_installs_in_it(saved: Path) -> None:
    names = {Path(name) for name, _ in files(saved)}
    assert {str(name) for name in names if name.name in COMPILERS and "bin" in name.parts} == set()
    assert {str(name) for name in names if name.is_relative_to("venv") and name.name in {"pip", "pip3"}} == set()


def test_it_is_small(docker: Engine, image: str, figure: Figure) -> None:
    over = docker.inspect(image)["Size"] - docker.inspect(BASE)["Size"]
    figure(f"the image: {over / 1e6:.0f} MB over its base")
    assert 0 < over <= SIZE


def test_packages_of_an_extra_are_in_it_when_it_is_asked_for(docker: Engine, image: str, project: Path) -> None:
    build(docker, project, "traced", "--build-arg", "EXTRAS=otel")
    found = [
        docker.docker("run", "--rm", name, "python", "-c", "import opentelemetry.sdk", check=False).returncode
        for name in ("traced", image)
    ]
    assert found == [0, 1]


def test_it_says_what_it_is_and_runs_as_nobody(docker: Engine, image: str) -> None:
    config = docker.inspect(image)["Config"]
    assert config["Labels"]["org.opencontainers.image.version"] == VERSION
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["scripts/container.sh"]
    assert config["StopSignal"] == "SIGTERM"


def test_the_same_files_give_the_same_layers(docker: Engine, image: str, project: Path, figure: Figure) -> None:
    began = time.monotonic()
    build(docker, project, "again", "--no-cache")
    figure(f"built anew in {time.monotonic() - began:.1f} s")
    assert layers(docker, "again") == layers(docker, image)


def test_a_clone_under_a_strict_umask_or_none_makes_no_difference(
    docker: Engine, image: str, project: Path, tmp_path: Path
) -> None:
    for number, rights in enumerate(("go=", "a+rw")):
        clone = tmp_path / str(number)
        shutil.copytree(project, clone)
        run("chmod", "-R", rights, str(clone))
        build(docker, clone, "cloned")
        assert layers(docker, "cloned") == layers(docker, image)
        docker.docker("build", "-t", "front", "-f", str(clone / "deploy/compose/nginx.Dockerfile"), str(clone))
        everything = (
            "find",
            "/etc/nginx/groundwork",
            "/etc/nginx/nginx.conf",
            "/etc/nginx/site.conf",
            "/etc/nginx/front.conf",
        )
        asked = ("(", "!", "-readable", "-o", "-type", "d", "!", "-executable", "-o", "-writable", ")")
        assert docker.docker("run", "--rm", "--entrypoint", "", "front", *everything, *asked).stdout == ""


def test_a_folder_that_is_closed_to_who_builds_is_no_obstacle(docker: Engine, project: Path, tmp_path: Path) -> None:
    """As certificates/ is: root's. Here root is who builds, without its right to read everything."""
    clone = tmp_path / "clone"
    shutil.copytree(project, clone)
    (clone / "certificates").mkdir(exist_ok=True)  # compose's tests may have left some
    run("chown", "101", str(clone / "certificates"))
    run("chmod", "700", str(clone / "certificates"))
    nobody_special = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    with pytest.raises(RuntimeError, match="Permission denied"):
        run(*nobody_special, "ls", str(clone / "certificates"))
    for file in ("Dockerfile", "deploy/compose/nginx.Dockerfile"):
        command = ("docker", "build", "-q", "-f", str(clone / file), str(clone))
        run(*nobody_special, *command, env=docker.environment)


def test_every_lock_file_and_every_part_of_the_settings_is_let_in() -> None:
    """.dockerignore names them one by one."""
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    there = {file.name for pattern in ("config*.py", "requirements*.txt") for file in ROOT.glob(pattern)}
    assert there - {"requirements-dev.txt", "requirements-windows.txt"} == {
        line[1:] for line in let_in if line.startswith(("!config", "!requirements"))
    }


def test_a_changed_line_is_built_quickly_and_changes_one_layer(
    docker: Engine, image: str, project: Path, figure: Figure
) -> None:
    page = project / "app/work.py"
    text = page.read_text(encoding="utf-8")
    try:
        page.write_text(f"{text}\n# changed\n", encoding="utf-8")
        began = time.monotonic()
        build(docker, project, "changed")
        seconds = time.monotonic() - began
    finally:
        page.write_text(text, encoding="utf-8")
    before, after = layers(docker, image), layers(docker, "changed")
    figure(f"built after a change in {seconds:.1f} s")
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1
    assert seconds <= WARM_BUILD
