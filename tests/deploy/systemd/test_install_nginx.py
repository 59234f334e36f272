"""scripts/install-service.sh --domain: nginx gets a site that it accepts, or stays as it was."""

import http.client
import shutil
from pathlib import Path

import pytest

from tests.deploy.authority import Authority
from tests.deploy.machine import BASE, Machine
from tests.deploy.systemd.installing import DOMAIN, NOTHING, SCRIPT, edit, what_is_there
from tests.servers.running import wait_until

INSTALL = [SCRIPT, "--domain", DOMAIN, BASE]
DEBIANS = "/etc/nginx/sites-enabled/default"
OURS = "/etc/nginx/sites-enabled/groundwork.default.conf"


@pytest.fixture
def certified(fresh: Machine, tmp_path: Path) -> Machine:
    """A deployed site with a certificate, on which nothing is installed yet."""
    authority = Authority(tmp_path)
    for name in ("groundwork", "shop"):
        authority.issue(fresh.path(f"/etc/ssl/{name}"), DOMAIN)
    return fresh


def status(machine: Machine, host: str) -> int:
    """What nginx answers on its port for http."""
    visitor = http.client.HTTPConnection(host)
    visitor.sock = machine.connect(80, 20)
    try:
        visitor.request("GET", "/")
        return visitor.getresponse().status
    finally:
        visitor.close()


def nginx_files(machine: Machine) -> dict[str, str]:
    folder = machine.path("/etc/nginx")
    return {str(file): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_a_key_of_another_certificate_is_refused_before_anything_changes(certified: Machine) -> None:
    certified.run("cp", "/etc/ssl/shop/privkey.pem", "/etc/ssl/groundwork/privkey.pem")
    before = what_is_there(certified)
    refused = certified.try_run(*INSTALL)
    assert refused.returncode == 1
    assert "the certificate in /etc/ssl/groundwork can not be used" in refused.stderr
    assert what_is_there(certified) == before


def test_what_nginx_refuses_is_taken_back_on_the_first_install(certified: Machine) -> None:
    before = nginx_files(certified)
    edit(certified, "deploy/nginx/groundwork.conf", "upstream", "nonsense;\nupstream")
    refused = certified.try_run(*INSTALL)
    assert refused.returncode == 1
    assert 'unknown directive "nonsense"' in refused.stderr
    assert nginx_files(certified) == before
    assert not certified.path("/etc/nginx/groundwork").exists()
    assert status(certified, "localhost") == 200  # Debian's own page


def test_what_nginx_refuses_is_taken_back_on_an_update(certified: Machine) -> None:
    certified.run("rm", DEBIANS)
    certified.run(*INSTALL)
    before = nginx_files(certified)
    edit(certified, "deploy/nginx/snippets/tls.conf", "ssl_protocols", "nonsense;\nssl_protocols")
    certified.path(f"{BASE}/releases/first/deploy/nginx/snippets/added.conf").write_text("# new\n")
    refused = certified.try_run(*INSTALL)
    assert refused.returncode == 1
    assert 'unknown directive "nonsense"' in refused.stderr
    assert nginx_files(certified) == before
    certified.run("systemctl", "restart", "nginx")
    assert status(certified, DOMAIN) == 301


def test_an_uninstall_that_nginx_refuses_changes_nothing(certified: Machine) -> None:
    certified.run(*INSTALL)
    certified.path("/etc/nginx/conf.d/mine.conf").write_text("include /etc/nginx/groundwork/http.conf;\n")
    before = nginx_files(certified)
    refused = certified.try_run(SCRIPT, "--uninstall", BASE)
    assert refused.returncode == 1
    assert "/etc/nginx/conf.d/mine.conf" in refused.stderr
    assert nginx_files(certified) == before
    assert certified.get("/ready")[0] == 200


def test_unknown_host_names_get_no_answer_when_there_was_no_default_server(certified: Machine) -> None:
    certified.run("rm", DEBIANS)
    certified.run(*INSTALL)
    wait_until(lambda: status(certified, DOMAIN) == 301, 10)  # a reload takes a moment
    with pytest.raises(ConnectionResetError):
        status(certified, "forged.example")
    assert certified.run(*INSTALL) == NOTHING
    shutil.copytree(certified.path(BASE), certified.path("/srv/shop"), symlinks=True)
    certified.run("rm", "/srv/shop/shared/service")
    shop = ["/srv/shop/current/scripts/install-service.sh", "--name", "shop", "--user", "shop"]
    shop += ["--domain", "shop.example", "/srv/shop"]
    shops = "/etc/nginx/sites-available/shop.default.conf"
    certified.run(*shop)
    assert not certified.path(shops).exists()  # never two
    certified.run(SCRIPT, "--uninstall", BASE)
    certified.run(*shop)
    assert certified.path(shops).exists()


def test_a_default_server_that_is_there_stays_the_only_one(certified: Machine) -> None:
    said = certified.run(*INSTALL)
    assert "Look: groundwork does not refuse unknown host names" in said
    assert not certified.path(OURS).exists()
    assert status(certified, "forged.example") == 200  # Debian's own page
    certified.run("rm", DEBIANS)
    assert OURS in certified.run(*INSTALL)
    assert certified.run(*INSTALL) == NOTHING


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", f"TRUSTED_HOSTS={DOMAIN}", f"set TRUSTED_HOSTS={DOMAIN} in"),
        ("export TRUSTED_HOSTS=a.example", "export TRUSTED_HOSTS=a.example", f"does not name {DOMAIN}"),
    ],
)
def test_the_application_refuses_other_host_names_too(certified: Machine, before: str, after: str, said: str) -> None:
    settings = certified.path(f"{BASE}/shared/.env")
    settings.write_text(f"{before}\n")
    assert said in certified.run(*INSTALL)
    assert [line for line in settings.read_text().splitlines() if "TRUSTED_HOSTS" in line] == [after]
