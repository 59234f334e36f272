"""The job worker: installed where the release has one, hardened alike, and of the same release as the web server."""

import pytest

from tests.deploy.systemd.site import UNITS, WITH_COUNTERS, Site
from tests.servers.running import wait_until

WORKER = "groundwork-worker.service"
WITHOUT_JOBS = (
    WITH_COUNTERS
    + """
del app.cli.commands["worker"]
"""
)


@pytest.fixture(scope="module")
def working(site: Site) -> Site:
    wait_until(lambda: "does jobs" in site.machine.journal(WORKER), 20)
    return site


def test_the_web_server_has_no_process_for_jobs_beside_it(working: Site) -> None:
    processes = working.machine.run("systemctl", "status", "--no-pager", "-n0", "groundwork.service")
    assert "gunicorn" in processes
    assert "worker" not in processes


def test_a_restart_of_the_web_server_brings_the_worker_along(working: Site) -> None:
    before = working.machine.property(WORKER, "MainPID")
    working.machine.run("systemctl", "restart", "groundwork.service")
    wait_until(lambda: working.machine.property(WORKER, "MainPID") not in {"0", before}, 20)


def test_a_killed_worker_comes_back(working: Site) -> None:
    before = working.machine.property(WORKER, "MainPID")
    working.machine.run("kill", "-KILL", before)
    wait_until(lambda: working.machine.property(WORKER, "MainPID") not in {"0", before}, 20)


def test_the_worker_is_hardened_like_the_web_server(working: Site) -> None:
    unit = f"{UNITS}/{WORKER}"
    assert working.machine.run("systemd-analyze", "verify", unit) == ""
    judged = working.machine.try_run(
        "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", unit
    )
    assert judged.returncode == 0, judged.stdout


def test_a_release_that_does_no_jobs_takes_the_unit_away(working: Site) -> None:
    working.release("idle", WITHOUT_JOBS)
    assert f"remove {UNITS}/{WORKER}" in working.install()
    working.machine.switch_to("first")
    assert f"start {WORKER}" in working.install()
    working.machine.run("systemctl", "restart", "groundwork.service")
