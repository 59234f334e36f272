"""The production overlay, built as `kubectl apply -k` builds it, and a cluster that runs what comes out."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from config import ROOT
from tests.deploy import rendering
from tests.deploy.containers.engine import Engine, run
from tests.deploy.containers.images import SUITE, archive_site
from tests.deploy.kubernetes.kubelet import Cluster, Manifest

SECRETS = {
    "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778",
    "DATABASE_URL": "postgresql://groundwork:a-word-of-the-tests@postgres/groundwork\n",
    "REDIS_URL": "redis://redis:6379/0\n",
}


@pytest.fixture(scope="session")
def kustomize(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """kubectl, where it is installed; else the program that is in it, which the distribution's next release has."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    apt = tmp_path_factory.mktemp("kustomize")
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb {archive_site()} {SUITE} main\n")
    options = [f"-oDir::Etc::SourceList={apt}/sources.list", "-oDir::Etc::SourceParts=/dev/null"]
    options += [f"-oDir::State::lists={apt}/lists", f"-oDir::Cache={apt}/cache", "-oAcquire::Languages=none"]
    run("apt-get", *options, "-qq", "update")
    run("apt-get", *options, "-qq", "download", "kustomize", cwd=apt)
    (package,) = apt.glob("*.deb")
    run("dpkg-deb", "-x", str(package), str(apt))
    return [str(apt / "usr/bin/kustomize"), "build"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, kustomize: list[str]) -> str:
    """The YAML of all objects, with secrets made as docs/kubernetes.md says."""
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(ROOT / "deploy/kubernetes", folder)
    secrets = folder / "production/secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    for name, value in SECRETS.items():
        (secrets / name).write_text(value)
    for file in sorted((ROOT / "deploy/kubernetes").rglob("*.*")):
        rendering.remember(
            file.relative_to(ROOT / "deploy").as_posix(), folder / file.relative_to(ROOT / "deploy/kubernetes")
        )
    return run(*kustomize, str(folder / "production")).stdout


@pytest.fixture(scope="session")
def manifests(built: str) -> list[Manifest]:
    return list(yaml.safe_load_all(built))


@pytest.fixture(scope="session")
def cluster(
    docker: Engine, image: str, manifests: list[Manifest], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """With PostgreSQL and Redis as services outside of it."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    made = Cluster(docker, folder, manifests, image)
    try:
        (folder / "password").write_text("a-word-of-the-tests")
        options = ["--env=POSTGRES_USER=groundwork", "--env=POSTGRES_DB=groundwork", "--tmpfs=/run/postgresql"]
        options += ["--env=POSTGRES_PASSWORD_FILE=/password", f"--volume={folder}/password:/password:ro"]
        docker.docker("run", "-d", "--name=postgres", f"--network={made.name}", *options, "postgres:17-alpine")
        docker.docker("run", "-d", "--name=redis", f"--network={made.name}", "redis:8-alpine",
                      "redis-server", "--save", "", "--protected-mode", "no")  # fmt: skip
        ready = ["exec", "postgres", "pg_isready", "--quiet", "--host=127.0.0.1"]
        until = time.monotonic() + 60
        while docker.docker(*ready, check=False).returncode:
            assert time.monotonic() < until, docker.docker("logs", "postgres").stderr
            time.sleep(0.1)
        yield made
    finally:
        made.remove()
        docker.docker("rm", "-fv", "postgres", "redis", check=False)
        docker.docker("network", "rm", made.name, check=False)
