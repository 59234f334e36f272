"""`systemctl reload`, by hand and by the watch on the settings file: only what was ready on a spare port comes into
service."""

import contextlib
from collections.abc import Iterator

import pytest

from benchmarks.load import Load
from tests.deploy.machine import BASE
from tests.deploy.systemd.site import Site
from tests.servers.running import wait_until

WATCH = "groundwork-settings.service"


def test_a_reload_brings_the_new_release_and_loses_no_request(site: Site) -> None:
    load = Load(0, "/", "/ready", connection=site.direct)
    try:
        with load:
            site.release("second")
            site.wait_until_started()
            reloaded = site.systemctl("reload", "groundwork.service")
            assert reloaded.returncode == 0, reloaded.stderr
            site.wait_for("second")
        assert load.result.failed == 0, load.result
    finally:
        back_to_first(site)


@pytest.mark.parametrize("fault", ["import", "database"])
def test_a_reload_of_a_broken_release_fails_and_the_old_one_serves(site: Site, fault: str) -> None:
    site.wait_until_started()
    serving = site.pid()
    if fault == "import":
        site.release("broken", "raise RuntimeError('broken on purpose')\n")
        reason = "broken on purpose"
    else:
        site.release("ahead")
        migration = site.machine.path("/srv/groundwork/releases/ahead/migrations/versions/not_run_yet.py")
        migration.write_text('revision = "ahead"\ndown_revision = "' + newest(site) + '"\n')
        reason = "behind the code"
    try:
        reloaded = site.systemctl("reload", "groundwork.service")
        assert reloaded.returncode != 0
        assert (site.version(), site.pid()) == ("first", serving)
        assert reason in site.machine.journal("groundwork.service")
    finally:
        back_to_first(site)


def newest(site: Site) -> str:
    return site.flask("db", "current", user="groundwork").split()[-1]


def back_to_first(site: Site) -> None:
    site.machine.switch_to("first")
    site.machine.run("systemctl", "restart", "groundwork.service")


@contextlib.contextmanager
def settings(site: Site, text: str) -> Iterator[None]:
    site.settings(text)
    try:
        yield
    finally:
        site.settings("APP_NAME=Plain")
        wait_until(lambda: "Plain" in site.machine.get("/")[1], 30)
        wait_until(lambda: site.machine.property(WATCH, "ActiveState") == "inactive", 30)


def test_changed_settings_come_into_service_by_themselves(site: Site) -> None:
    with settings(site, "APP_NAME=Renamed"):
        wait_until(lambda: "Renamed" in site.machine.get("/")[1], 20)


def test_settings_that_are_saved_during_a_start_count_too(site: Site) -> None:
    assert site.systemctl("restart", "--no-block", "groundwork.service").returncode == 0
    with settings(site, "APP_NAME=Early"):
        wait_until(lambda: "Early" in site.machine.get("/")[1], 30)


def test_of_settings_that_are_saved_twice_the_last_count(site: Site) -> None:
    with settings(site, "LOG_LEVEL=LOUD"):
        wait_until(lambda: site.machine.property(WATCH, "ActiveState") == "activating", 20)
        site.settings("APP_NAME=Mended")
        wait_until(lambda: "Mended" in site.machine.get("/")[1], 30)
        wait_until(lambda: site.machine.property(WATCH, "ActiveState") == "inactive", 30)


def test_settings_that_are_saved_just_after_others_were_refused_count_too(site: Site) -> None:
    """When systemd has ended the one and does not yet look for the next, which is a moment: here it never looks."""
    site.wait_until_started()
    site.machine.run("systemctl", "stop", "groundwork-settings.path")
    refused_then_saved = f"""
        echo TRUSTED_PROXIES=1 >{BASE}/shared/.env.next
        echo APP_NAME=Mended >>{BASE}/shared/.env.next
        chown groundwork: {BASE}/shared/.env.next
        systemctl start {WATCH} && exit 1
        mv {BASE}/shared/.env.next {BASE}/shared/.env
    """
    with settings(site, "LOG_LEVEL=LOUD"):
        try:
            site.machine.run("sh", "-c", refused_then_saved)
            wait_until(lambda: "Mended" in site.machine.get("/")[1], 30)
        finally:
            site.machine.run("systemctl", "start", "groundwork-settings.path")


def test_settings_with_a_fault_are_refused_and_the_journal_names_it(site: Site) -> None:
    site.wait_until_started()
    serving = site.pid()
    with settings(site, "LOG_LEVEL=LOUD"):
        wait_until(lambda: site.machine.property(WATCH, "ActiveState") == "failed", 20)
        assert site.pid() == serving
        assert site.machine.get("/")[0] == 200
        assert "LOG_LEVEL:" in site.machine.journal("groundwork.service")


def test_gevent_workers_run_under_the_same_hardening(site: Site) -> None:
    with settings(site, "WORKER_CLASS=gevent"):
        wait_until(lambda: "gevent workers" in site.machine.journal("groundwork.service"), 30)
        load = Load(0, "/", "/counters/", site.count_up(site.direct()), connection=site.direct).run_for(2)
        assert load.failed == 0, load
