"""`flask doctor --url` against a real nginx and Gunicorn: as they are shipped, and as somebody has spoilt them."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT, environment
from tests.deploy import authority
from tests.deploy.edge import DOMAIN, Edge, edge
from tests.deploy.nginx.conftest import Front
from tests.deploy.nginx.servers import gunicorn

pytest.importorskip("app.auth", reason="what is spoilt is its log-in")
Report = dict[str, dict[str, Any]]  # by id

SPOILT = {  # in the files of deploy/nginx, what each live check has to find
    "ssl_protocols TLSv1.2 TLSv1.3;": "ssl_protocols TLSv1 TLSv1.1 TLSv1.2;",
    "ssl_ciphers ECDHE-": "ssl_ciphers ALL:@SECLEVEL=0:ECDHE-",
    "return 301 https://www.example.com$request_uri;": "return 200 'welcome';",
    "proxy_set_header X-Forwarded-For $remote_addr;": "proxy_set_header X-Forwarded-For $http_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $edge_scheme;": "proxy_set_header X-Forwarded-Proto http;",
    "add_header X-Request-ID $edge_request_id always;": "proxy_hide_header X-Request-ID;",
    "add_header X-Frame-Options $edge_frame_options always;": """add_header Referrer-Policy same-origin always;
        add_header Access-Control-Allow-Origin $http_origin always;
        add_header Access-Control-Allow-Credentials true always;""",
    "server_tokens off;": "server_tokens on;",
    "client_max_body_size 8m;": "client_max_body_size 800m;",
    "public, max-age=31536000, immutable": "no-cache",
    "gzip_static on;": "gzip_static off; gzip off;",
    "server_name www.example.com;": "server_name www.example.com _;",
    "location = /metrics {": "location = /.env { return 200 'SECRET=1'; }\n    location = /metrics {",
    "location ~ ^/(?:health|up|ready)$ {": "location = /health { return 500; }\n    location ~ ^/(?:up|ready)$ {",
}
# What the spoilt site is expected to show. live.malformed and live.bypass: tests/unit/doctor/test_live_checks.py.
FOUND = {
    "live.tls": "FAIL", "live.redirect": "FAIL", "live.forwarded": "FAIL", "live.process": "FAIL", "live.cors": "FAIL",
    "live.websocket": "FAIL", "live.request-id": "WARN", "live.headers": "FAIL", "live.cookies": "FAIL",
    "live.health": "FAIL", "live.private": "FAIL", "live.errors": "WARN", "live.body-limit": "WARN",
    "live.static": "WARN", "live.compressed": "WARN", "live.login-limit": "FAIL", "live.hosts": "FAIL",
    "auth.session-ends": "FAIL",
}  # fmt: skip
PASSING = [name for name in FOUND if name != "live.process"]  # the tests run as root, as no site should


@contextmanager
def examined(
    application: str, edit: Callable[[str], str] | None, *files: str, days: str = "90", **settings: Any
) -> Iterator[Callable[..., tuple[int, Report]]]:
    """A site; it is examined with the options given. The certificate is good for `days`."""
    folder = Path(tempfile.mkdtemp(prefix="gw-"))
    run = folder / "run"
    run.mkdir()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(authority, "DAYS", days)
            with gunicorn(folder, run / "web.sock", application=application, **settings) as server:
                with edge(folder, run, *files, edit=edit) as site:
                    trust = {"TRUSTED_PROXIES": 1, "TRUSTED_HOSTS": DOMAIN, "HOST": f"unix:{run}/web.sock"}
                    known = environment(folder / "shared/instance", **trust, SSL_CERT_FILE=site.authority.file)
                    yield lambda *options: examine(
                        site, known | {name: str(value) for name, value in settings.items()}, *options
                    )
                assert server.process.poll() is None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def examine(site: Edge, known: dict[str, str], *options: str, prefix: str = "") -> tuple[int, Report]:
    where = ["--url", f"https://{DOMAIN}:{site.https}{prefix}", "--connect", "127.0.0.1", "--http-port", str(site.http)]
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor", *where, "--json", *options]
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode in {0, 1, 2}, done.stderr
    return done.returncode, {found["id"]: found for found in json.loads(done.stdout)["findings"]}


def spoil(text: str) -> str:
    for good, bad in SPOILT.items():
        text = text.replace(good, bad)
    return text


@pytest.fixture(scope="module")
def good() -> Iterator[Report]:
    with examined("wsgi:app", None) as ask:
        yield ask()[1]


@pytest.fixture(scope="module")
def bad() -> Iterator[Report]:
    """Without default.conf: every name is served."""
    with examined("tests.deploy.nginx.auth.weak:app", spoil, "groundwork.conf", TRUSTED_HOSTS="") as ask:
        yield ask("--only", "live,auth")[1]


def test_every_spoilt_line_is_there() -> None:
    shipped = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "deploy/nginx").rglob("*.conf"))
    assert not [line for line in SPOILT if line not in shipped]


@pytest.mark.parametrize("identity", FOUND)
def test_what_is_spoilt_is_found(identity: str, bad: Report) -> None:
    found = bad[identity]
    assert found["status"] == FOUND[identity], found
    assert found["fix"]
    assert found["why"]


@pytest.mark.parametrize(
    "identity", [*sorted(set(FOUND) - {"live.process"}), "live.answers", "live.malformed", "live.bypass"]
)
def test_the_site_as_shipped_passes(identity: str, good: Report) -> None:
    assert good[identity]["status"] == "OK", good[identity]


def test_the_site_as_shipped_raises_no_false_alarm(good: Report) -> None:
    """What is left is so: the tests run as root, from a folder that is edited, and make no backup."""
    known = {"live.process", "host.root", "backup.age", "deploy.inplace"}
    if Path("/.dockerenv").exists():  # of the tests themselves, which need its rights
        known.add("server.sandbox")
    alarms = {name for name, found in good.items() if found["status"] in {"WARN", "FAIL"}}
    assert alarms <= known, [good[name] for name in alarms]


def test_each_file_for_nginx_raises_no_false_alarm(each_front: Front) -> None:
    """Also below a prefix, and with uWSGI. The limit of log-ins is left to the tests beside this one."""
    site, instance = each_front.site, each_front.base / "shared/instance"
    trust = {"TRUSTED_PROXIES": 1, "TRUSTED_HOSTS": DOMAIN, "HOST": "unix:/run/web.sock"}
    known = environment(instance, **trust, SSL_CERT_FILE=site.authority.file)
    options = ("--only", "live", "--skip", "live.login-limit")
    _, found = examine(site, known, *options, prefix=each_front.prefix)
    alarms = {name for name, each in found.items() if each["status"] != "OK"}
    assert alarms <= {"live.process", "live.tls"}, [found[name] for name in alarms]  # root's, and good for two days


@pytest.mark.parametrize(("days", "status"), [("3", "FAIL"), ("14", "WARN")])
def test_a_certificate_that_ends_soon_is_found(days: str, status: str) -> None:
    with examined("wsgi:app", None, days=days) as ask:
        code, found = ask("--only", "live.tls")
    assert found["live.tls"]["status"] == status, found
    assert code == {"FAIL": 2, "WARN": 1}[status]
