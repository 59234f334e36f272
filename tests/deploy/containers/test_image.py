"""What is in the image, and what is not."""

import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.deploy.containers.conftest import Figure
from tests.deploy.containers.engine import Engine
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
