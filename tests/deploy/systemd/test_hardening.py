"""What the services can not do, as systemd judges it, and as a worker's own processes show it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.systemd.site import READ, UNITS, Site
from tests.servers.running import wait_until

SERVICES = ["groundwork", "groundwork-settings", "groundwork-backup", "groundwork-worker"]


@pytest.mark.parametrize(
    "unit", [target for target in READ.values() if not target.endswith((".conf", "-worker.service"))]
)
def test_systemd_finds_no_fault_in_the_unit(site: Site, unit: str) -> None:
    verified = site.machine.try_run("systemd-analyze", "verify", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "groundwork-worker"])
def test_the_exposure_is_at_most_1_5(site: Site, service: str, figure: Callable[[str], None]) -> None:
    judged = site.machine.try_run(
        "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", f"{UNITS}/{service}.service"
    )
    figure(judged.stdout.strip().splitlines()[-1])
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_a_worker_has_no_rights_and_can_get_none(site: Site) -> None:
    worker = site.machine.run("pgrep", "--parent", site.pid()).split()[0]
    status = site.machine.run("cat", f"/proc/{worker}/status")
    fields = dict(re.findall(r"^(NoNewPrivs|Seccomp|CapEff|CapBnd|Umask):\s+(\S+)$", status, re.MULTILINE))
    nothing = "0" * 16
    assert fields == {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": nothing, "CapBnd": nothing, "Umask": "0027"}


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/srv/groundwork/current/wsgi.py", "Read-only file system"),
        ("/srv/groundwork/shared/.env", "Read-only file system"),
        ("/etc/cron.d/mine", "Read-only file system"),
        ("/srv/groundwork/shared/instance/mine", None),
        ("/tmp/mine", None),
    ],
)
def test_the_service_writes_in_its_instance_folder_and_in_its_own_tmp_only(
    site: Site, path: str, refusal: str | None
) -> None:
    written = site.machine.try_run("nsenter", "--mount", "--target", site.pid(), "touch", path)
    assert (refusal is None) == (written.returncode == 0)
    assert (refusal or "") in written.stderr
    assert not Path(site.machine.live("/tmp/mine")).exists()  # the machine's own


def test_the_web_server_reads_static_files_but_not_the_database(site: Site) -> None:
    instance = "/srv/groundwork/shared/instance"
    site.machine.run("find", f"{instance}/static/css", "-type", "f", user="www-data")
    (stylesheet, *_) = site.machine.path(f"{instance}/static/css").glob("*.css")
    site.machine.run("head", f"{instance}/static/css/{stylesheet.name}", user="www-data")
    for private in ("app.db", "secret_key", "../.env"):
        assert site.machine.try_run("head", f"{instance}/{private}", user="www-data").returncode != 0


def test_the_journal_has_each_access_line_as_json(site: Site) -> None:
    site.machine.get("/about?journal")

    def lines() -> list[str]:
        journal = site.machine.journal("groundwork.service").splitlines()
        return [line for line in journal if '"path":"/about"' in line]

    wait_until(lines, 10)  # written after the answer
    assert json.loads(lines()[-1])["status"] == 200
