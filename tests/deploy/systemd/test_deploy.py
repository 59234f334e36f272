"""scripts/deploy.sh and rollback.sh for a site that systemd runs: the socket stays, and nobody notices."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import ROOT
from tests.deploy import machine
from tests.deploy.machine import BASE, Machine
from tests.deploy.systemd.site import Site

# Boots on the spare port of the pre-flight, and not as the service.
ONLY_AS_A_SERVICE = "\nimport os\nif 'LISTEN_FDS' in os.environ:\n    raise SystemExit(3)\n"


def pack(target: Path, more: str = "") -> None:
    """The project as an archive, with `more` at the end of wsgi.py."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    there = [name for name in listed if (ROOT / name).exists() and name != "wsgi.py"]
    (target.parent / "wsgi.py").write_text((ROOT / "wsgi.py").read_text() + more)
    tar = ["tar", "-cf", str(target), "-C", str(target.parent), "wsgi.py", "-C", str(ROOT), *there]
    subprocess.run(tar, check=True, capture_output=True)


class Deploying(Site):
    def try_deploy(self, archive: str) -> "subprocess.CompletedProcess[str]":
        return self._as_the_sites_user(f"{BASE}/current/scripts/deploy.sh --archive {archive} {BASE}")

    def try_rollback(self) -> "subprocess.CompletedProcess[str]":
        return self._as_the_sites_user(f"{BASE}/current/scripts/rollback.sh {BASE}")

    def _as_the_sites_user(self, command: str) -> "subprocess.CompletedProcess[str]":
        return self.machine.try_run("bash", "-c", f". /opt/uv; {command}", user="groundwork")

    @property
    def current(self) -> str:
        return self.machine.run("readlink", f"{BASE}/current").strip().rpartition("/")[2]


@pytest.fixture(scope="module")
def deploying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploying]:
    with machine.booted() as host:
        pack(host.path("/opt/good.tar"))
        pack(host.path("/opt/broken.tar"), ONLY_AS_A_SERVICE)
        host.run("chmod", "-R", "a+rwX", machine.CACHE)
        yield Deploying(host, tmp_path_factory.mktemp("authority"))


def test_a_deploy_and_a_rollback_lose_no_request(deploying: Deploying) -> None:
    with Load(0, "/", "/ready", "/about", keep_alive=3, close=3, connection=deploying.through_nginx) as load:
        deployed = deploying.try_deploy("/opt/good.tar")
        assert deployed.returncode == 0, deployed.stderr
        first = deploying.current
        assert _version(deploying.machine) == first
        assert deploying.try_deploy("/opt/good.tar").returncode == 0
        assert deploying.current != first
        back = deploying.try_rollback()
        assert back.returncode == 0, back.stderr
        assert deploying.current == first
        assert _version(deploying.machine) == first
    assert load.result.failed == 0, load.result


def test_a_release_that_fails_only_as_a_service_is_rolled_back(deploying: Deploying) -> None:
    before = deploying.current
    with Load(0, "/", "/ready", keep_alive=3, close=3, connection=deploying.through_nginx) as load:
        deployed = deploying.try_deploy("/opt/broken.tar")
    assert deployed.returncode == 1, deployed.stderr
    assert f"rolling back to {before}" in deployed.stderr
    assert f"Not deployed. {before} keeps serving." in deployed.stderr
    assert deploying.current == _version(deploying.machine) == before
    assert load.result.failed == 0, load.result


def _version(host: Machine) -> str:
    status, body = host.get("/ready")
    assert status == 200, body
    return body.partition('"version": "')[2].partition('"')[0]
