"""What a run of scripts/install-service.sh has left undone when it was killed, the next one does."""

from pathlib import Path

import pytest

from tests.deploy.authority import Authority
from tests.deploy.machine import BASE, Machine
from tests.deploy.systemd.installing import DOMAIN, NOTHING, SCRIPT, edit, install_until


@pytest.mark.parametrize("command", ["daemon-reload", "restart groundwork.service"])
def test_a_unit_that_was_written_is_put_into_service(fresh: Machine, command: str) -> None:
    fresh.run(SCRIPT, BASE)
    edit(fresh, "deploy/systemd/groundwork.service", "Environment=HOST", "Environment=NEWER=1\nEnvironment=HOST")
    install_until(fresh, command)
    assert "restart groundwork.service" in fresh.run(SCRIPT, BASE)
    assert "NEWER=1" in fresh.run("cat", f"/proc/{fresh.property('groundwork.service', 'MainPID')}/environ")
    assert fresh.run(SCRIPT, BASE) == NOTHING


def test_the_way_back_from_a_port_is_finished(fresh: Machine) -> None:
    fresh.run(SCRIPT, "--port", "8080", BASE)
    install_until(fresh, "daemon-reload")
    fresh.run(SCRIPT, BASE)
    assert fresh.get("/ready")[0] == 200
    assert fresh.run(SCRIPT, BASE) == NOTHING


def test_nginx_reads_what_was_written_for_it(fresh: Machine, tmp_path: Path) -> None:
    Authority(tmp_path).issue(fresh.path("/etc/ssl/groundwork"), DOMAIN)
    fresh.run("rm", "/etc/nginx/sites-enabled/default")
    fresh.run(SCRIPT, "--domain", DOMAIN, BASE)
    edit(fresh, "deploy/nginx/groundwork.conf", "keepalive 32;", "keepalive 31;")
    install_until(fresh, "reload nginx", "--domain", DOMAIN)
    assert "reload nginx" in fresh.run(SCRIPT, "--domain", DOMAIN, BASE)
    assert fresh.run(SCRIPT, "--domain", DOMAIN, BASE) == NOTHING


def test_an_uninstall_that_was_killed_is_finished(fresh: Machine) -> None:
    fresh.run(SCRIPT, BASE)
    install_until(fresh, "disable --now groundwork-backup.timer", "--uninstall")
    assert "Removed." in fresh.run(SCRIPT, "--uninstall", BASE)
    assert fresh.try_run("systemctl", "list-unit-files", "--no-legend", "groundwork*").stdout == ""
    assert fresh.run(SCRIPT, "--uninstall", BASE) == "Nothing to do: groundwork is not installed.\n"


def test_new_hardening_does_not_close_the_socket(fresh: Machine) -> None:
    fresh.run(SCRIPT, BASE)
    edit(fresh, "deploy/systemd/hardening.conf", "[Service]", "[Service]\nEnvironment=NEWER=1")
    said = fresh.run(SCRIPT, BASE)
    assert "restart groundwork.service" in said
    assert "close groundwork.socket" not in said
    assert fresh.run(SCRIPT, BASE) == NOTHING
