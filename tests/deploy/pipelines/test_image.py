"""The jobs that build the image: by the real engine; only the registry, which is somewhere else, is a stand-in."""

from pathlib import Path

import pytest

from tests.deploy.containers.engine import Engine
from tests.deploy.pipelines.runner import Done, Machine, Pipeline, Workflow

REGISTRY = """
case $1 in
  login) cat >"$STUBS/password"; echo "$@" >>"$STUBS/asked" ;;
  push) echo "$@" >>"$STUBS/asked"; exec $DOCKER image inspect --format 'pushed {{.Id}}' "$2" ;;
  *) exec $DOCKER "$@" ;;
esac
"""


@pytest.fixture
def builder(machine: Machine, docker: Engine) -> Machine:
    """A machine with an engine, whose registry writes down what it is asked."""
    found = next(folder for folder in ("/usr/local/bin", "/usr/bin") if Path(folder, "docker").exists())
    names = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_BUILDKIT")
    machine.environment |= {name: docker.environment[name] for name in names}
    machine.environment |= {"STUBS": str(machine.stubs), "DOCKER": f"{found}/docker"}
    machine.stub("docker", REGISTRY)
    machine.stub("apk", "exit 0")  # GitLab's image with the engine's client is no Debian
    return machine


def asked(builder: Machine) -> list[str]:
    file = builder.stubs / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_a_branchs_image_is_built_and_started_and_goes_nowhere(root: Path, builder: Machine) -> None:
    for done in (Workflow(root, "test").run("image", builder), Pipeline(root).run("container", builder)):
        assert done.returncode == 0, done.stdout
        assert "is healthy." in done.stdout
    assert asked(builder) == []


def test_a_tags_image_is_pushed_under_the_tags_name(root: Path, builder: Machine, docker: Engine) -> None:
    def github() -> Done:
        return Workflow(root, "deploy").run("image", builder, "v1.2.3", secrets__GITHUB_TOKEN="a token")

    done = github()
    assert done.returncode == 0, done.stdout
    assert asked(builder) == ["login ghcr.io --username ada --password-stdin", "push ghcr.io/ada/shop:v1.2.3"]
    assert (builder.stubs / "password").read_text() == "a token"
    assert docker.inspect("ghcr.io/ada/shop:v1.2.3")["Config"]["Labels"]["org.opencontainers.image.version"] == "v1.2.3"
    given = {"CI_REGISTRY": "registry.example", "CI_REGISTRY_USER": "ci", "CI_REGISTRY_PASSWORD": "another"}
    done = Pipeline(root).run("publish", builder, "v1.2.3", **given, CI_REGISTRY_IMAGE="registry.example/Ada/shop")
    assert done.returncode == 0, done.stdout
    assert asked(builder)[2:] == [
        "login registry.example --username ci --password-stdin", "push registry.example/ada/shop:v1.2.3",
    ]  # fmt: skip


def test_an_image_that_does_not_become_healthy_is_not_pushed(root: Path, builder: Machine) -> None:
    builder.before_each_run(lambda folder: (folder / "wsgi.py").write_text("raise SystemExit('no site')\n"))
    done = Workflow(root, "deploy").run("image", builder, "v1.2.3", secrets__GITHUB_TOKEN="a token")
    assert done.returncode == 1
    assert "no site" in done.stdout
    assert "does not become healthy" in done.stdout
    assert [line for line in asked(builder) if line.startswith("push")] == []
