"""The job worker: installed where the release has one, hardened alike, and of the same release as the web server."""

from collections.abc import Iterator

import pytest

from tests.deploy.systemd.site import UNITS, WITH_COUNTERS, Site
from tests.servers.running import wait_until

WORKER = "groundwork-worker.service"
WITH_WORKER = (
    WITH_COUNTERS
    + """

@app.cli.command()
def worker():
    import pathlib, signal
    (pathlib.Path(app.instance_path) / "work").write_text("done")
    print("the worker works", flush=True)
    signal.pause()
"""
)


@pytest.fixture(scope="module")
def working(site: Site) -> Iterator[Site]:
    site.release("jobs", WITH_WORKER)
    said = site.install()
    assert f"start {WORKER}" in said
    yield site
    site.machine.switch_to("first")
    assert f"remove {UNITS}/{WORKER}" in site.install()
    site.machine.run("systemctl", "restart", "groundwork.service")


def test_the_worker_runs_and_writes_what_it_has_done(working: Site) -> None:
    wait_until(lambda: "the worker works" in working.machine.journal(WORKER), 20)
    assert working.machine.path("/srv/groundwork/shared/instance/work").read_text() == "done"


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
