"""A switch that is killed, or kept waiting: what serves is found, and nobody waits for long."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.releases.site import Site, append
from tests.servers.running import Running, wait_until

# Boots at once in the pre-flight, and takes its time as a successor.
SLOW_SUCCESSOR = append(
    "import os, time\nwhile 'GUNICORN_PID' in os.environ and os.path.exists('instance/hold'):\n    time.sleep(0.05)"
)
MENDS_ONLY = ("--ref", "no-such-tag")  # looks what serves, and gets no further


@pytest.fixture(scope="module")
def slow(site: Site) -> str:
    return site.broken("slow-successor", wsgi=SLOW_SUCCESSOR)


@pytest.fixture
def switching(site: Site, slow: str) -> Iterator[Running]:
    """A deploy whose new master boots at this moment, and does not serve yet."""
    hold = site.base / "shared/instance/hold"
    hold.touch()
    deploying = site.begin("--ref", slow)
    try:
        wait_until(lambda: list(site.run_folder.glob("*.successor")), 60, lambda: deploying.output)
        yield deploying
    finally:
        hold.unlink(missing_ok=True)
        deploying.kill()


def test_after_a_kill_before_the_new_release_serves_the_old_one_is_current_again(
    site: Site, switching: Running
) -> None:
    before = str(site.ready()["version"])
    os.killpg(switching.process.pid, signal.SIGKILL)
    switching.end()
    unproven = site.current
    assert unproven != before
    lines = site.rollback("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines if "serves, the next deploy or rollback makes it current" in line] == [
        before
    ]

    mended = site.deploy(*MENDS_ONLY)
    assert (
        f"current named {unproven}, but {before} serves, as after a switch that was cut off. Now it names {before}."
        in mended.stderr
    )
    assert f"Not deployed. {before} keeps serving." in mended.stderr
    assert site.current == before
    assert not list(site.run_folder.glob("*.successor")), "one master stays"
    assert {str(site.ready()["version"]) for _ in range(20)} == {before}


def test_what_came_to_serve_after_its_deploy_was_killed_is_listed(site: Site, switching: Running) -> None:
    before = str(site.ready()["version"])
    os.kill(switching.process.pid, signal.SIGKILL)  # what it has begun goes on
    switching.process.wait(10)
    serves = site.current
    mending = site.begin(*MENDS_ONLY)
    mending.line_with("Waiting for process")
    (site.base / "shared/instance/hold").unlink()
    assert mending.end(60) == 1
    assert f"{serves} serves and was not listed, as after a switch that was cut off. Now it is." in mending.output
    assert site.current == site.ready()["version"] == serves != before
    assert f" {serves} found serving by root" in (site.base / "shared/deploys.log").read_text()
    assert site.rollback(before).returncode == 0
    assert serves in site.rollback("--list").stdout


@pytest.mark.usefixtures("unchanged")
def test_a_switch_waits_a_minute_for_another_script_and_says_which(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "sleep"
    short.write_text("#!/bin/sh\nexec /bin/sleep 0.01\n")
    short.chmod(0o755)
    monkeypatch.setitem(site.environment, "PATH", f"{tmp_path}:{site.environment['PATH']}")
    lock = site.run_folder / "lock"
    holder = subprocess.Popen(["/bin/sleep", "300"])
    deploying = site.begin()
    try:
        deploying.line_with("3/7")  # after the repair, which takes the lock too
        lock.symlink_to(str(holder.pid))
        assert deploying.end() == 1
        assert f"process {holder.pid} holds {lock} for 60 s: /bin/sleep 300" in deploying.output
        assert "rolling back" not in deploying.output
        assert f"Not deployed. {site.current} keeps serving." in deploying.output
    finally:
        deploying.kill()
        holder.kill()
        holder.wait()
        lock.unlink(missing_ok=True)
