"""The encryption that is offered, by a scanner's judgement, and a certificate that is renewed under load."""

import functools
import http.client
import ssl
import subprocess
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from benchmarks.load import Load
from tests.deploy.edge import DOMAIN, Edge
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


def serial(site: Edge) -> str:
    connection = site.connection()
    connection.connect()
    certificate = connection.sock.getpeercert()
    connection.close()
    assert certificate
    return str(certificate["serialNumber"])


class LikeABrowser:
    """Asks once more on a new connection where a used one ended before a byte of the answer came (RFC 9112, 9.3.1).

    nginx before 1.27.4 ends its idle connections at a reload, also those on which a request is on its way just then.
    """

    def __init__(self, site: Edge, timeout: float) -> None:
        self._connection = site.connection(timeout)
        self._answered = False

    def request(self, *arguments: Any, **options: Any) -> None:
        self._asked = (arguments, options)
        try:
            self._connection.request(*arguments, **options)
        except ConnectionError:
            self._again()

    def getresponse(self) -> http.client.HTTPResponse:
        try:
            response = self._connection.getresponse()
        except ConnectionError:
            self._again()
            response = self._connection.getresponse()
        self._answered = True
        return response

    def _again(self) -> None:
        assert self._answered, "a new connection ended without an answer"
        self.close()
        arguments, options = self._asked
        self._connection.request(*arguments, **options)

    def close(self) -> None:
        self._answered = False
        self._connection.close()


def test_a_renewed_certificate_is_taken_up_and_no_request_is_lost(front: Front) -> None:
    site = front.site
    before = serial(site)
    with Load(site.https, "/about", "/health", connection=functools.partial(LikeABrowser, site)) as load:
        for _ in range(3):
            site.authority.issue(site.folder / "tls", DOMAIN)
            site.reload()
    assert serial(site) != before
    assert load.result.failed == 0, load.result
    assert load.result.answered > 100
