"""The nightly backup: its timer fires, and what it leaves can be restored."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from tests.deploy.machine import BASE, VENV
from tests.deploy.systemd.site import UNITS, Site
from tests.servers.running import wait_until

BACKUPS = f"{BASE}/shared/instance/backups"
COUNTERS = 20  # rows that benchmarks/work.py has made


@pytest.fixture
def _in_a_second(site: Site) -> Iterator[None]:
    """The night comes at once: as `systemctl edit` would change the timer."""
    override = site.machine.path(f"{UNITS}/groundwork-backup.timer.d/override.conf")
    override.parent.mkdir()
    override.write_text("[Timer]\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=100ms\n")
    yield
    override.unlink()
    override.parent.rmdir()
    site.machine.run("systemctl", "daemon-reload")
    site.machine.run("systemctl", "restart", "groundwork-backup.timer")


@pytest.mark.usefixtures("_in_a_second")
def test_the_timer_leaves_a_backup_that_can_be_restored(site: Site) -> None:
    site.machine.run("systemctl", "daemon-reload")
    site.machine.run("systemctl", "restart", "groundwork-backup.timer")
    journal = lambda: site.machine.journal("groundwork-backup.service")  # noqa: E731
    wait_until(lambda: "Finished" in journal() or "Failed" in journal(), 40, journal)
    assert site.machine.property("groundwork-backup.service", "Result") == "success", journal()
    (backup,) = site.machine.path(BACKUPS).iterdir()
    flask = ["env", "INSTANCE_PATH=/root/restored", f"{VENV}/bin/flask", "--app", "wsgi"]
    site.machine.run(*flask, "restore", f"{BACKUPS}/{backup.name}", cwd=f"{BASE}/current")
    with contextlib.closing(sqlite3.connect(site.machine.path("/root/restored/app.db"))) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM benchmark_counters").fetchone() == (COUNTERS,)


def test_the_backup_is_made_every_night(site: Site) -> None:
    assert site.systemctl("is-enabled", "groundwork-backup.timer").stdout.strip() == "enabled"
    assert "03:" in site.machine.run("systemctl", "list-timers", "groundwork-backup.timer", "--no-pager")
