"""A site that scripts/install-service.sh has put under systemd in a machine of its own, and its visitors."""

import http.client
import re
import ssl
import subprocess
from pathlib import Path

from benchmarks.load import Request
from tests.deploy.authority import Authority
from tests.deploy.machine import BASE, VENV, Machine
from tests.servers.running import wait_until

DOMAIN = "www.example.com"
UNITS = "/etc/systemd/system"
READ = {
    f"systemd/{file}": f"{UNITS}/{file}"
    for file in (
        *("groundwork.socket", "groundwork.service", "groundwork-worker.service"),
        *("groundwork-settings.path", "groundwork-settings.service"),
        *("groundwork-backup.timer", "groundwork-backup.service"),
    )
} | {"systemd/hardening.conf": f"{UNITS}/groundwork.service.d/hardening.conf"}
# The application with its counters: the number on the page proves how many POSTs were done.
WITH_COUNTERS = "from benchmarks.work import app\n\napplication = app\n"


class Site:
    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.release("first")
        self.flask("db", "upgrade")
        self.flask("make-counters")
        authority = Authority(folder)
        authority.issue(machine.path("/etc/ssl/groundwork"), DOMAIN)
        self.authority, self.context = authority, ssl.create_default_context(cafile=authority.file)
        machine.will_read(**READ)
        self.install("--domain", DOMAIN)

    def release(self, name: str, wsgi: str = WITH_COUNTERS) -> None:
        """Puts a release of this project in place, as the current one."""
        self.machine.path(f"{BASE}/shared/instance").mkdir(parents=True, exist_ok=True)
        folder = self.machine.release(name)
        (folder / "wsgi.py").write_text(wsgi)
        self.machine.switch_to(name)

    def install(self, *options: str) -> str:
        return self.machine.run(f"{BASE}/current/scripts/install-service.sh", *options, BASE)

    def flask(self, *command: str, user: str = "root") -> str:
        return self.machine.run(f"{VENV}/bin/flask", "--app", "wsgi", *command, user=user, cwd=f"{BASE}/current")

    def systemctl(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self.machine.try_run("systemctl", *command)

    def pid(self) -> str:
        return self.machine.property("groundwork.service", "MainPID")

    def version(self) -> str:
        status, body = self.machine.get("/ready")
        match = re.search(r'"version": "(\w+)"', body)
        assert status == 200, body
        assert match, body
        return match[1]

    def wait_for(self, version: str) -> None:
        wait_until(lambda: self.version() == version, 30, lambda: self.machine.journal("groundwork.service")[-2000:])

    def wait_until_started(self) -> None:
        """It may serve, and its start be not over: a probe is still asking."""
        wait_until(lambda: self.machine.property("groundwork.service", "ActiveState") == "active", 40)

    def settings(self, text: str) -> None:
        """Saves the settings file as editors do: a new file in the old one's place, with its owner and mode."""
        new = self.machine.path(f"{BASE}/shared/.env.new")
        new.write_text(f"TRUSTED_PROXIES=1\n{text}\n")
        self.machine.run("chown", "groundwork:groundwork", f"{BASE}/shared/.env.new")
        new.chmod(0o600)
        new.replace(self.machine.path(f"{BASE}/shared/.env"))

    # --- visitors -------------------------------------------------------------------------------

    def direct(self, timeout: float = 15) -> http.client.HTTPConnection:
        """On the service's own socket, where usually the proxy is."""
        return self.machine.connection(timeout=timeout)

    def through_nginx(self, timeout: float = 15) -> http.client.HTTPConnection:
        """By https to the machine's nginx."""
        return _Secure(self, timeout)

    def count_up(self, connection: http.client.HTTPConnection) -> Request:
        """What a visitor's browser sends for the button on the page of counter 1."""
        connection.request("GET", "/counters/1")
        response = connection.getresponse()
        page = response.read().decode()
        connection.close()
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token, page
        cookie = response.headers["Set-Cookie"].partition(";")[0]
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        # Over https the form's protection wants to know the page that it came from.
        return Request("POST", "/counters/1", f"csrf_token={token[1]}", headers | {"Referer": f"https://{DOMAIN}/"})

    def counted(self) -> int:
        match = re.search(r"Counted to (\d+)", self.machine.get("/counters/1")[1])
        assert match
        return int(match[1])


class _Secure(http.client.HTTPSConnection):
    def __init__(self, site: Site, timeout: float) -> None:
        super().__init__(DOMAIN, timeout=timeout, context=site.context)
        self._site = site

    def connect(self) -> None:
        raw = self._site.machine.connect(443, self.timeout)
        self.sock = self._site.context.wrap_socket(raw, server_hostname=DOMAIN)
