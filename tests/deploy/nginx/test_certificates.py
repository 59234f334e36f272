"""A certificate by the commands of docs/nginx.md and `flask doctor`, from an authority like Let's Encrypt."""

import functools
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.platform.doctor.live_edge import certificate
from app.platform.doctor.registry import Deployment
from app.platform.doctor.site import Site
from benchmarks.load import Load
from benchmarks.servers import environment
from config import TestingConfig
from tests.deploy.acme import Acme, acme
from tests.deploy.edge import DOMAIN, Edge, edge
from tests.deploy.likeabrowser import LikeABrowser, serial
from tests.deploy.nginx.conftest import Front
from tests.deploy.nginx.test_doctor import examine
from tests.servers.running import wait_until


@pytest.fixture(scope="module")
def own(front: Front, folder: Path, run: Path) -> Iterator[Edge]:
    """A site with the certificate that one makes oneself, because nginx does not start without."""
    with edge(folder, run) as site:
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", site.folder / "tls/privkey.pem", "-out", site.folder / "tls/fullchain.pem"]
        make += ["-days", "7", "-subj", f"/CN={DOMAIN}"]
        subprocess.run([*make, *files], check=True, capture_output=True, timeout=60)
        site.reload()
        (site.folder / "acme").mkdir()
        yield site


@pytest.fixture(scope="module")
def authority(own: Edge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme]:
    with acme(tmp_path_factory.mktemp("acme"), "127.0.0.1", own.http) as started:
        yield started


def typed(line: str, site: Edge, authority: Acme) -> str:
    """As it is said, on a machine whose folders and nginx are the test's. Returns why it failed."""
    for said, here in {
        "sudo ": "",
        "systemctl reload nginx": f"kill -HUP {site.server.process.pid}",
        "/var/www/acme": f"{site.folder}/acme",
        "/etc/ssl/groundwork": f"{site.folder}/tls",
        "/etc/letsencrypt": str(authority.folder),
    }.items():
        line = line.replace(said, here)
    if line.startswith("certbot"):
        line += " " + " ".join(authority.options)
    known = os.environ | authority.environment
    done = subprocess.run(["bash", "-c", line], env=known, capture_output=True, text=True, timeout=100, check=False)
    return f"{line}\n{done.stdout}{done.stderr}" if done.returncode else ""


def test_what_the_checklist_says_gets_a_certificate_and_certbot_renews_it_unnoticed(
    own: Edge, authority: Acme, folder: Path, tmp_path: Path
) -> None:
    known = environment(
        folder / "shared/instance", TRUSTED_PROXIES=1, TRUSTED_HOSTS=DOMAIN, SSL_CERT_FILE=authority.root
    )
    found = examine(own, known, "--only", "live.tls")[1]["live.tls"]
    assert found["status"] == "FAIL", found
    assert "refused" in found["seen"]
    for line in certificate(Deployment(TestingConfig(), site=Site(f"https://{DOMAIN}"), machine=tmp_path)).splitlines():
        assert typed(line, own, authority) == ""  # not from the finding: this machine may be a container
    own.context = ssl.create_default_context(cafile=authority.root)
    first = wait_until(lambda: serial(own.connection()), 20)
    found = examine(own, known, "--only", "live.tls")[1]["live.tls"]
    assert found["status"] == "OK", found
    with Load(own.https, "/", connection=functools.partial(LikeABrowser, own.connection)) as load:
        assert typed("certbot renew --force-renewal", own, authority) == ""
        wait_until(lambda: serial(own.connection()) not in {"", first}, 20)
    assert load.result.failed == 0, load.result.failures
    assert load.result.answered > 100


def test_a_name_that_leads_elsewhere_gets_none(own: Edge, authority: Acme) -> None:
    """The authority can say no: it is asked for a name whose server is not this one."""
    (own.folder / "elsewhere").mkdir()
    line = f"certbot certonly --webroot -w {own.folder}/elsewhere -d www.example.org"
    assert "Some challenges have failed" in typed(line, own, authority)
