"""scripts/install-service.sh on a machine of its own: what it says, what it leaves, what it takes away again."""

import http.client

import pytest

from tests.deploy.machine import BASE, VENV, Machine
from tests.deploy.systemd.installing import NOTHING, SCRIPT, what_is_there
from tests.deploy.systemd.site import UNITS
from tests.servers.running import wait_until


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(untouched: Machine) -> None:
    before = what_is_there(untouched)
    said = untouched.run(SCRIPT, "--dry-run", BASE)
    assert f"would write {UNITS}/groundwork.socket" in said
    assert "would make the system user groundwork" in said
    assert said.endswith("Nothing was changed.\n")
    assert what_is_there(untouched) == before


def test_a_second_run_has_nothing_to_do_and_restarts_nothing(fresh: Machine) -> None:
    fresh.run(SCRIPT, BASE)
    before, serving = what_is_there(fresh), fresh.property("groundwork.service", "MainPID")
    said = fresh.run(SCRIPT, BASE)
    assert said == NOTHING
    assert fresh.property("groundwork.service", "MainPID") == serving
    assert what_is_there(fresh) == before


def test_an_uninstall_removes_what_was_made_and_keeps_the_data(fresh: Machine) -> None:
    before = {line.split()[0] for line in what_is_there(fresh)}
    fresh.run(SCRIPT, BASE)
    said = fresh.run(SCRIPT, "--uninstall", BASE)
    assert f"{BASE} stays with its data in {BASE}/shared" in said
    gained = {line.split()[0] for line in what_is_there(fresh)} - before
    outside = {path for path in gained if not path.startswith(BASE)}
    assert {path for path in outside if path.strip("-") not in {"/etc/subuid", "/etc/subgid"}} == set()
    assert fresh.path(f"{BASE}/shared/instance/app.db").exists()
    assert not fresh.path(f"{BASE}/shared/service").exists()
    assert fresh.try_run("systemctl", "list-unit-files", "--no-legend", "groundwork*").stdout == ""
    assert fresh.try_run("systemctl", "is-active", "groundwork.socket", "groundwork.service").returncode != 0


def test_another_name_user_and_port(fresh: Machine) -> None:
    fresh.path(BASE).rename(fresh.path("/srv/shop"))
    files = {"systemd/port/socket.conf": f"{UNITS}/shop.socket.d/port.conf"}
    fresh.will_read(**files, **{"systemd/port/service.conf": f"{UNITS}/shop.service.d/port.conf"})
    script = "/srv/shop/current/scripts/install-service.sh"
    fresh.run(script, "--name", "shop", "--user", "keeper", "--port", "8090", "/srv/shop")
    assert fresh.path("/srv/shop/shared/service").read_text() == "shop.service\n127.0.0.1:8090\n"
    assert fresh.run("ps", "-o", "user=", "-p", fresh.property("shop.service", "MainPID")).strip() == "keeper"
    visitor = http.client.HTTPConnection("127.0.0.1", 8090)
    visitor.sock = fresh.connect(8090, 20)
    visitor.request("GET", "/ready", headers={"X-Forwarded-For": "203.0.113.9"})
    assert visitor.getresponse().status == 200
    visitor.close()
    assert "close shop.socket" not in fresh.run(script, "--name", "shop", "--port", "8090", "/srv/shop")


def test_from_a_port_back_to_the_unix_socket(fresh: Machine) -> None:
    fresh.run(SCRIPT, "--port", "8080", BASE)
    fresh.run(SCRIPT, BASE)
    assert fresh.get("/ready")[0] == 200
    assert "127.0.0.1:8080" not in fresh.path(f"{BASE}/shared/service").read_text()


def test_who_deploys_may_restart_the_service_and_nothing_else(fresh: Machine) -> None:
    fresh.run("useradd", "ada")
    fresh.run(SCRIPT, "--deploy-user", "ada", BASE)
    as_site = ["sudo", "-n", "-u", "groundwork"]
    before = fresh.property("groundwork.service", "MainPID")
    fresh.run(*as_site, "sudo", "-n", "systemctl", "restart", "groundwork.service", user="ada")
    assert fresh.property("groundwork.service", "MainPID") != before
    for refused in (
        ["sudo", "-n", "systemctl", "restart", "groundwork.service"],
        ["sudo", "-n", "id"],
        [*as_site, "sudo", "-n", "systemctl", "restart", "nginx.service"],
        [*as_site, "sudo", "-n", "id"],
    ):
        assert "a password is required" in fresh.try_run(*refused, user="ada").stderr


def test_a_server_that_was_started_by_hand_makes_room(fresh: Machine) -> None:
    pid_file = f"{BASE}/shared/instance/run/8080.gunicorn.pid"
    command = [f"{VENV}/bin/gunicorn", "--daemon", "--bind", "127.0.0.1:8080", "--pid", pid_file, "wsgi:app"]
    fresh.run("mkdir", "-p", f"{BASE}/shared/instance/run")
    fresh.run(*command, cwd=f"{BASE}/current")
    wait_until(fresh.path(pid_file).exists, 20)
    said = fresh.run(SCRIPT, BASE)
    assert "stop the server on 8080" in said
    assert not fresh.path(pid_file).exists()
    assert fresh.get("/ready")[0] == 200


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--wrong", BASE], 2, "unknown option --wrong (see --help)"),
        ([], 2, "name the site's folder"),
        (["--name", "Big One", BASE], 2, "--name can not be Big One"),
        (["--port", "0", BASE], 2, "--port can not be 0"),
        (["--domain", "no_name", BASE], 2, "--domain can not be no_name"),
        (["/srv"], 1, "no release is deployed in /srv yet. First: scripts/deploy.sh /srv"),
        (["/nowhere"], 1, "there is no folder /nowhere. Deploy a release first: scripts/deploy.sh /nowhere"),
        (["--group", "nobodies", BASE], 1, "there is no group nobodies"),
        (["--deploy-user", "nobody-here", BASE], 1, "there is no user nobody-here"),
        (["--domain", "www.example.com", BASE], 1, "/etc/ssl/groundwork/fullchain.pem is missing"),
    ],
)
def test_what_can_not_be_is_refused_with_a_reason(untouched: Machine, options: list[str], code: int, text: str) -> None:
    refused = untouched.try_run(SCRIPT, *options)
    assert (refused.returncode, text in refused.stderr) == (code, True), refused.stderr


def test_only_root_installs(untouched: Machine) -> None:
    refused = untouched.try_run(SCRIPT, BASE, user="www-data")
    assert refused.returncode == 1
    assert "only root may install services: sudo" in refused.stderr


def test_a_home_folder_is_refused_because_services_do_not_see_it(fresh: Machine) -> None:
    fresh.path(BASE).rename(fresh.path("/home/site"))
    refused = fresh.try_run("/home/site/current/scripts/install-service.sh", "/home/site")
    assert refused.returncode == 1
    assert "services do not see /home" in refused.stderr
