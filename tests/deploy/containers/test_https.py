"""compose.https.yaml: https by the commands of docs/containers.md, from an authority like Let's Encrypt."""

import functools
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load
from tests.deploy.acme import Acme, acme
from tests.deploy.containers.conftest import Figure
from tests.deploy.containers.site import UP, Site
from tests.deploy.likeabrowser import LikeABrowser, serial
from tests.servers.running import wait_until

pytestmark = pytest.mark.timeout(600)
DOMAIN = "www.example.com"
# benchmarks/work.py, whose counters are there for everybody, is part of this site.
KNOWN = {"routes.guarded"}


class _Connection(http.client.HTTPSConnection):
    """To the name, at an address where it does not lead."""

    def __init__(self, address: str, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(DOMAIN, timeout=timeout, context=context)
        self._address, self._trust = address, context

    def connect(self) -> None:
        raw = socket.create_connection((self._address, 443), self.timeout)
        self.sock = self._trust.wrap_socket(raw, server_hostname=DOMAIN)


class Encrypted:
    """The site, asked by https for its name, by somebody who trusts `root`."""

    def __init__(self, site: Site, root: Path) -> None:
        self.site, self._context = site, ssl.create_default_context(cafile=root)

    def connection(self, timeout: float = 15) -> http.client.HTTPSConnection:
        return _Connection(self.site.docker.address, timeout, self._context)

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        connection = self.connection()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def authority(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme]:
    with acme(tmp_path_factory.mktemp("acme"), site.docker.address, 80) as started:
        yield started


@pytest.fixture(scope="module")
def encrypted(site: Site, authority: Acme) -> Iterator[Encrypted]:
    """From a site that served by http, and back again."""
    dotenv = site.folder / ".env"
    before = dotenv.read_text()
    refused = site.script("scripts/compose_certificate.sh", DOMAIN, check=False)
    assert "COMPOSE_FILE=compose.yaml:compose.https.yaml" in refused.stderr
    try:
        dotenv.write_text(f"{before}COMPOSE_FILE=compose.yaml:compose.https.yaml\nTRUSTED_HOSTS={DOMAIN}\n")
        site.script("scripts/compose_certificate.sh", DOMAIN, *authority.options, **authority.environment)
        site.compose("up", "--detach", "--build", "--wait", "--pull=never")
        yield Encrypted(site, authority.root)
    finally:
        dotenv.write_text(before)
        site.compose("up", "--detach", "--build", "--wait", "--pull=never")


def test_people_are_served_by_https_and_led_there(encrypted: Encrypted, site: Site) -> None:
    status, headers, page = encrypted.get("/auth/login")
    assert status == 200
    assert "max-age" in headers["Strict-Transport-Security"]
    assert "; Secure" in headers["Set-Cookie"]
    style = re.search(r'"(/static/[^"]+\.css)"', page)
    assert style
    assert encrypted.get(style[1])[0] == 200
    status, named, _ = site.get("/about?a=b", Host=DOMAIN)
    assert (status, named["location"]) == (301, f"https://{DOMAIN}/about?a=b")
    assert site.get("/api/v1/anything", Host=DOMAIN)[0] == 403
    assert site.inspect("nginx")["State"]["Health"]["Status"] == "healthy"


def test_the_key_is_for_nginx_alone(encrypted: Encrypted, site: Site) -> None:
    key = (site.folder / "certificates/nginx/privkey.pem").stat()
    assert (key.st_mode & 0o777, key.st_uid) == (0o400, 101)
    assert (site.folder / "certificates").stat().st_mode & 0o777 == 0o700  # 101 may be somebody on this machine


def test_the_checklist_blames_nothing_of_the_site(encrypted: Encrypted, site: Site, authority: Acme) -> None:
    address = site.inspect("nginx")["NetworkSettings"]["Networks"]["groundwork_front"]["IPAddress"]
    asked = f"flask --app wsgi doctor --json --url https://{DOMAIN}:8443 --connect {address} --http-port 8080"
    script = f'printf %s "$1" >/tmp/root.pem; SSL_CERT_FILE=/tmp/root.pem exec {asked}'
    told = site.compose("exec", "-T", "web", "sh", "-c", script, "-", authority.root.read_text(), check=False)
    found = {one["id"]: one for one in json.loads(told.stdout)["findings"]}
    assert {name: one["seen"] for name, one in found.items() if one["status"] in {"WARN", "FAIL"}}.keys() == KNOWN
    good = {name for name, one in found.items() if one["status"] == "OK"}
    assert good >= {"live.tls", "live.redirect", "live.headers", "live.hosts", "live.forwarded", "live.cookies"}
    assert good >= {"live.health", "live.private", "live.login-limit", "live.static", "db.role"}
    assert good >= {"cache.works", "redis.memory"}


def test_a_renewed_certificate_is_shown_and_nobody_notices(
    encrypted: Encrypted, site: Site, authority: Acme, figure: Figure
) -> None:
    first = serial(encrypted.connection())
    renew = ["certbot", "renew", "--force-renewal", *authority.options]
    with Load(0, "/", "/ready", connection=functools.partial(LikeABrowser, encrypted.connection)) as load:
        known = os.environ | site.docker.environment | authority.environment
        done = subprocess.run(renew, env=known, capture_output=True, text=True, timeout=UP, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: serial(encrypted.connection()) not in {"", first}, 20)
    figure(f"a new certificate: {load.result}")
    assert load.result.failed == 0, load.result.failures
    assert load.result.answered > 50


def test_a_certificate_that_one_has_is_placed_if_nginx_can_use_it(
    encrypted: Encrypted, site: Site, authority: Acme, tmp_path: Path
) -> None:
    before, lineage = serial(encrypted.connection()), authority.folder / "live/groundwork"
    place, placed = ("scripts/compose_certificate.sh", "--from"), site.folder / "certificates/nginx/fullchain.pem"
    placed.unlink()
    site.script(*place, str(lineage))
    assert placed.read_text() == (lineage / "fullchain.pem").read_text()
    shutil.copy(lineage / "fullchain.pem", tmp_path)
    for key in ("genpkey -algorithm ED25519", f"pkey -in {lineage}/privkey.pem -aes256 -passout pass:a"):
        subprocess.run(["openssl", *key.split(), "-out", tmp_path / "privkey.pem"], check=True, timeout=60)
        refused = site.script(*place, str(tmp_path), check=False)
        assert refused.returncode == 1
        assert "Nothing was changed." in refused.stderr
    missing = site.script(*place, "/nowhere", check=False)
    assert missing.returncode == 1
    assert "has no fullchain.pem" in missing.stderr
    site.compose("restart", "nginx")
    wait_until(lambda: site.status("/about") == 301, 30)
    assert serial(encrypted.connection()) == before


def test_without_a_certificate_from_the_authority_it_says_so(encrypted: Encrypted, site: Site, authority: Acme) -> None:
    """A name that can not be proven this way, and a certificate that certbot has while nginx has lost it."""
    script = ("scripts/compose_certificate.sh", DOMAIN, *authority.options)
    away = site.script(*script, "-d", "*.example.com", check=False, **authority.environment)
    assert away.returncode == 1
    assert "the one from before is where it was" in away.stderr
    (site.folder / "certificates/own").touch()
    away = site.script(*script, "-d", "*.example.com", check=False, **authority.environment)
    assert "no certificate yet" in away.stderr
    shutil.rmtree(site.folder / "certificates")
    again = site.script(*script, "--keep-until-expiring", check=False, **authority.environment)
    assert again.returncode == 1
    assert "certbot has a certificate that nginx has not" in again.stderr
    site.script("scripts/compose_certificate.sh", "--from", str(authority.folder / "live/groundwork"))
    wait_until(lambda: serial(encrypted.connection()), 30)
