"""The encryption that is offered, by a scanner's judgement, and a certificate that is renewed under load."""

import functools
import ssl
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.load import Load
from tests.deploy.edge import DOMAIN, Edge
from tests.deploy.likeabrowser import LikeABrowser, serial
from tests.deploy.nginx.conftest import Front

AUTHENTICATED = ("GCM", "CHACHA20", "CCM")


@pytest.fixture(scope="module")
def scan(site: Edge) -> ElementTree.Element:
    command = ["sslscan", "--xml=-", "--no-colour", f"--sni-name={DOMAIN}", f"127.0.0.1:{site.https}"]
    scanned = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found = ElementTree.fromstring(scanned.stdout).find("ssltest")  # noqa: S314 - written by sslscan
    assert found is not None
    return found


def test_only_tls_1_2_and_1_3_are_spoken(scan: ElementTree.Element) -> None:
    spoken = {f"{p.get('type')} {p.get('version')}" for p in scan.iter("protocol") if p.get("enabled") == "1"}
    assert spoken == {"tls 1.2", "tls 1.3"}


def test_every_cipher_is_authenticated_and_has_forward_secrecy(scan: ElementTree.Element) -> None:
    ciphers = {str(cipher.get("cipher")) for cipher in scan.iter("cipher")}
    assert len(ciphers) >= 6
    assert {name for name in ciphers if not any(mode in name for mode in AUTHENTICATED)} == set()
    assert {name for name in ciphers if not name.startswith(("ECDHE-", "TLS_"))} == set()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_the_default_server_speaks_no_old_tls_either(version: ssl.TLSVersion, site: Edge) -> None:
    """nginx takes the versions from the default server, whatever the others say."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.https}", "-servername", DOMAIN]
    command += ["-cipher", "ALL:@SECLEVEL=0", "-tls1" if version == ssl.TLSVersion.TLSv1 else "-tls1_1"]
    tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert "alert protocol version" in tried.stderr + tried.stdout


def test_a_renewed_certificate_is_taken_up_and_no_request_is_lost(front: Front) -> None:
    site = front.site
    before = serial(site.connection())
    with Load(site.https, "/about", "/health", connection=functools.partial(LikeABrowser, site.connection)) as load:
        for _ in range(3):
            site.authority.issue(site.folder / "tls", DOMAIN)
            site.reload()
    assert serial(site.connection()) not in {"", before}
    assert load.result.failed == 0, load.result
    assert load.result.answered > 100
