"""What scripts/install-service.sh refuses, before it has stopped, given away or written anything."""

import shutil
from collections.abc import Iterator

import pytest

from tests.deploy.machine import BASE, Machine
from tests.deploy.systemd.conftest import deployed
from tests.deploy.systemd.installing import SCRIPT, what_is_there
from tests.deploy.systemd.site import UNITS


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--user", "Big One", BASE], "--user can not be Big One; it takes"),
        (["--group", "www data", BASE], "--group can not be www data; it takes"),
        (["--deploy-user", "ALL", BASE], "--deploy-user can not be ALL; it takes"),
        (["--name", "x" * 33, BASE], "--name can not be xxx"),
        (["/srv/ground work"], "BASE can not be /srv/ground work; it takes"),
        (["--name", "nginx", BASE], "/systemd/system/nginx.service is there already"),
        (["--name", "systemd-journald", BASE], "/systemd/system/systemd-journald"),
        (["--name", "systemd", BASE], "/systemd/system/systemd-"),  # systemd-.service.d would be for all of those
        (["--name", "snippets", BASE], "/etc/nginx/snippets is there already"),
        (["--name", "backup", BASE], "there is a user backup already, whose home is /var/backups"),
        (["--name", "root", BASE], "there is a user root already, whose home is /root"),
        (["--name", "nginx", "--uninstall", BASE], "/systemd/system/nginx.service is there already"),
    ],
)
def test_it_refuses_before_it_changes_anything(untouched: Machine, options: list[str], text: str) -> None:
    untouched.path("/srv/ground work").mkdir(exist_ok=True)
    before = what_is_there(untouched)
    refused = untouched.try_run(SCRIPT, *options)
    assert refused.returncode in {1, 2}
    assert text in refused.stderr
    assert what_is_there(untouched) == before


def test_a_user_with_roots_rights_is_refused(fresh: Machine) -> None:
    fresh.run("useradd", "--non-unique", "--uid", "0", "toor")
    before = what_is_there(fresh)
    refused = fresh.try_run(SCRIPT, "--user", "toor", BASE)
    assert refused.returncode == 1
    assert "toor has root's rights" in refused.stderr
    assert what_is_there(fresh) == before


@pytest.fixture(scope="module")
def beside() -> Iterator[Machine]:
    """An installed site, and a second one in /srv/other, which is only deployed."""
    with deployed() as host:
        shutil.copytree(host.path(BASE), host.path("/srv/other"), symlinks=True)
        host.run(SCRIPT, BASE)
        yield host


@pytest.mark.parametrize("uninstall", [[], ["--uninstall"]])
def test_the_name_of_another_site_is_refused(beside: Machine, uninstall: list[str]) -> None:
    before = what_is_there(beside)
    refused = beside.try_run(SCRIPT, *uninstall, "/srv/other")
    assert refused.returncode == 1
    assert f"{UNITS}/groundwork" in refused.stderr
    assert "not of the site in /srv/other" in refused.stderr
    assert what_is_there(beside) == before


@pytest.mark.parametrize("uninstall", [[], ["--uninstall"]])
def test_a_site_is_not_known_by_a_second_name(beside: Machine, uninstall: list[str]) -> None:
    before = what_is_there(beside)
    refused = beside.try_run(SCRIPT, *uninstall, "--name", "shop", BASE)
    assert refused.returncode == 1
    assert f"{BASE} is installed as groundwork. Say --name groundwork" in refused.stderr
    assert what_is_there(beside) == before


def test_one_name_may_begin_with_the_other(beside: Machine) -> None:
    other = "/srv/other/current/scripts/install-service.sh"
    beside.run(other, "--name", "groundwork-two", "/srv/other")
    for script, name, base in ((other, "groundwork-two", "/srv/other"), (SCRIPT, "groundwork", BASE)):
        assert beside.run(script, "--name", name, base).startswith("Nothing to do")
