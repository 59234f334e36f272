"""Who may write the release is not root: scripts/install-service.sh runs, reads and writes nothing there as root."""

from pathlib import Path

import pytest

from tests.deploy.machine import BASE, VENV, Machine
from tests.deploy.systemd.installing import SCRIPT, edit
from tests.deploy.systemd.site import UNITS

ROOTS_COPY = "/usr/local/src/groundwork"
SPIED = "/opt/spied"
SPY = f'#!/bin/sh\ntouch "{SPIED}/$(id -u)${{TOKEN:-}}"\n'
RELEASE = f"{BASE}/releases/first"
PID_FILE = f"{BASE}/shared/instance/run/8080.gunicorn.pid"


@pytest.fixture
def installed(fresh: Machine) -> Machine:
    """A site, and root's own copy of what installs it."""
    fresh.run("mkdir", "-p", ROOTS_COPY)
    fresh.run("cp", "-r", f"{RELEASE}/scripts", f"{RELEASE}/deploy", ROOTS_COPY)
    fresh.run("install", "-d", "-m", "777", SPIED)
    fresh.run(SCRIPT, BASE)
    return fresh


def as_the_sites_user(machine: Machine, command: str) -> None:
    machine.run("bash", "-ec", command, user="groundwork", cwd=BASE)


def spies(machine: Machine) -> list[str]:
    return sorted(file.name for file in machine.path(SPIED).iterdir())


def uid(machine: Machine) -> str:
    return machine.run("id", "-u", "groundwork").strip()


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_root_runs_no_program_of_the_release(installed: Machine) -> None:
    as_the_sites_user(installed, f"rm {RELEASE}/.venv && mkdir -p {RELEASE}/.venv/bin shared/instance/run")
    as_the_sites_user(installed, f"ln -s {VENV}/bin/gunicorn {VENV}/bin/flask {RELEASE}/.venv/bin")
    program(installed.path(f"{RELEASE}/.venv/bin/python"), f'{SPY}exec {VENV}/bin/python "$@"\n')
    program(installed.path(f"{RELEASE}/scripts/stop.sh"), SPY)
    # Something that looks like a server which was started by hand.
    looks = ["bash", "-c", f"exec -a {PID_FILE} sleep 300"]
    installed.run("systemd-run", "--quiet", "--uid=groundwork", "--unit=looks", *looks)
    as_the_sites_user(installed, f"echo {installed.property('looks.service', 'MainPID')} >{PID_FILE}")
    installed.run("rm", "/etc/sudoers.d/groundwork")  # so that there is something to do, and /ready is asked
    said = installed.run("env", "TOKEN=-of-root", f"{ROOTS_COPY}/scripts/install-service.sh", BASE)
    assert "stop the server on 8080" in said
    assert spies(installed) == [uid(installed)]


def test_root_renders_nothing_with_the_script_of_the_release(installed: Machine) -> None:
    spying = f"import os, pathlib; pathlib.Path(f'{SPIED}/{{os.getuid()}}').touch()\nimport argparse\n"
    edit(installed, "scripts/render.py", "import argparse\n", spying)
    installed.run(SCRIPT, BASE)
    assert spies(installed) == [uid(installed)]


@pytest.mark.parametrize("link", ["shared/.env", "releases/first/deploy/systemd/groundwork.socket"])
def test_a_link_to_roots_files_is_neither_read_nor_written(installed: Machine, link: str) -> None:
    secret = installed.path("/etc/secret")
    secret.write_text("[Socket]\n")
    secret.chmod(0o600)
    as_the_sites_user(installed, f"rm {link} && ln -s /etc/secret {link}")
    before = installed.path(f"{UNITS}/groundwork.socket").read_text()
    refused = installed.try_run(SCRIPT, BASE)
    assert refused.returncode == 1
    assert "Permission denied" in refused.stderr
    assert secret.read_text() == "[Socket]\n"
    assert installed.path(f"{UNITS}/groundwork.socket").read_text() == before


def test_a_unit_that_lets_root_run_what_the_user_may_change_is_refused(installed: Machine) -> None:
    unit = installed.path(f"{UNITS}/groundwork-backup.service")
    before = unit.read_text()
    edit(installed, "deploy/systemd/groundwork-backup.service", "User=groundwork\n", "")
    refused = installed.try_run(SCRIPT, BASE)
    assert refused.returncode == 1
    assert "deploy/systemd/groundwork-backup.service lets root run what groundwork may change" in refused.stderr
    assert unit.read_text() == before
