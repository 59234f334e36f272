"""`flask doctor --url` on a machine that was installed as docs/systemd.md says: no false alarm, and what mends does."""

import json
import shutil
from typing import Any

import pytest

from tests.deploy.machine import BASE, VENV
from tests.deploy.systemd.site import DOMAIN, Site

AUTHORITY = "/etc/ssl/authority-of-tests.pem"
# The tests' certificate is good for two days, their counters are there for everybody, and nobody has made a backup yet.
SERVER = "../sites-available/groundwork.conf"
KNOWN = {"live.tls", "routes.guarded", "backup.age"}


def examine(site: Site, *options: str) -> dict[str, dict[str, Any]]:
    shutil.copy(site.authority.file, site.machine.path(AUTHORITY))
    asked = ["env", f"SSL_CERT_FILE={AUTHORITY}", f"{VENV}/bin/flask", "--app", "wsgi", "doctor", "--json", *options]
    asked += ["--url", f"https://{DOMAIN}", "--connect", "127.0.0.1"]
    done = site.machine.try_run(*asked, user="groundwork", cwd=f"{BASE}/current")
    assert done.stdout.startswith("{"), done.stderr
    return {found["id"]: found for found in json.loads(done.stdout)["findings"]}


def test_a_site_that_was_installed_as_documented_raises_no_false_alarm(site: Site) -> None:
    found = examine(site)
    assert not [each for each in found.values() if each["status"] in {"WARN", "FAIL"} and each["id"] not in KNOWN]
    good = {name for name, each in found.items() if each["status"] == "OK"}
    assert good >= {"host.root", "fs.private", "fs.owner", "proxy.hops", "server.sandbox", "live.process"}
    assert good >= {"live.forwarded", "auth.session-ends", "live.websocket", "live.login-limit"}


@pytest.mark.parametrize(
    ("identity", "file", "good", "bad"),
    [
        ("live.errors", "clients.conf", "server_tokens off;", "server_tokens on;"),
        ("live.headers", "headers.conf", "proxy_hide_header Strict-Transport-Security;", ""),
        ("live.redirect", "plain.conf", "return 301 ", "return 302 "),
        ("live.request-id", "headers.conf", "add_header X-Request-ID ", "proxy_hide_header X-Request-ID;  # "),
        ("live.body-limit", "clients.conf", "client_max_body_size 8m;", "client_max_body_size 800m;"),
        ("live.static", "http.conf", "public, max-age=31536000, immutable", "no-cache"),
        ("live.compressed", "files.conf", "gzip_static on;", "gzip_static off; gzip off;"),
        ("live.health", SERVER, "location ~ ^/(?:health|", "location = /health { return 500; }\n    location ~ ^/(?:"),
        (
            "live.private",
            SERVER,
            "location = /metrics {",
            "location = /.env { return 200 A=1; }\n    location = /metrics {",
        ),
        ("live.forwarded", "proxy.conf", "X-Forwarded-For $remote_addr;", "X-Forwarded-For $http_x_forwarded_for;"),
    ],
)
def test_what_is_said_to_mend_it_mends_it_when_typed(identity: str, file: str, good: str, bad: str, site: Site) -> None:
    placed = site.machine.path(f"/etc/nginx/groundwork/{file}")
    text = placed.read_text(encoding="utf-8")
    assert good in text
    placed.write_text(text.replace(good, bad), encoding="utf-8")
    site.machine.run("systemctl", "reload", "nginx")
    found = examine(site, "--only", identity)[identity]
    assert found["status"] in {"WARN", "FAIL"}, found
    site.machine.run("sh", "-c", found["fix"].removeprefix("sudo "), cwd=f"{BASE}/current")
    assert examine(site, "--only", identity)[identity]["status"] == "OK"
