"""A real Apache with the files of deploy/apache, in a copy of this machine's /etc/apache2, on loopback.

with apache("wsgi", base, run, user=…) as site:
    site.get("/")           # https, trusting the test's authority, to www.example.com
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving import metrics_folder
from tests.deploy import edge, rendering
from tests.deploy.authority import Authority
from tests.servers.running import Running, wait_until

STOCK = Path("/etc/apache2")
MODULES = ("headers", "macro", "reqtimeout", "rewrite", "ssl")
OF_WAY = {"wsgi": ("wsgi",), "proxy": ("proxy", "proxy_http", "buffer")}
PATH = f"/usr/sbin:{os.environ['PATH']}"


class Apache(edge.Edge):
    """The running Apache: asked as nginx is."""

    def control(self, *arguments: str) -> None:
        """As `apachectl …`."""
        command = ["/usr/sbin/apache2", "-d", self.folder, "-f", self.folder / "apache2.conf", *arguments]
        subprocess.run(command, env=_environment(self.folder), check=True, capture_output=True, timeout=60)

    def daemons(self) -> list[int]:
        """The processes that run the application under mod_wsgi."""
        return [
            child
            for child in self.server.children()
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"(wsgi:groundwork")
        ]


@contextmanager
def apache(way: str, base: Path, run: Path, **values: str) -> Iterator[Apache]:
    """With `deploy/apache/groundwork-<way>.conf`; more values as scripts/render.py has them."""
    folder = Path(tempfile.mkdtemp(prefix="gw-apache-"))
    site = Apache(folder, Authority(folder / "authority"), edge.DOMAIN)
    site.authority.issue(folder / "tls", site.domain)
    try:
        shutil.copytree(STOCK, folder, symlinks=True, dirs_exist_ok=True)
        (folder / "log").mkdir()
        (folder / "run").mkdir()
        listen = f"Listen 127.0.0.1:{site.http}\nListen 127.0.0.1:{site.https}\n"
        (folder / "ports.conf").write_text(listen, encoding="utf-8")
        edge.let_through(folder)
        edge.let_through(base)
        places = {"base": base, "run": run, "certificates": folder / "tls", "acme": folder / "acme"}
        rendered = {name: str(path) for name, path in places.items()} | {"domain": site.domain} | values
        rendered |= {"http": str(site.http), "https": str(site.https)}
        rendering.place("apache/groundwork.conf", folder / "sites-available/groundwork.conf", **rendered)
        rendering.place(f"apache/groundwork-{way}.conf", folder / "groundwork-application.conf", **rendered)
        _enable(folder, way)
        command = ["/usr/sbin/apache2", "-d", folder, "-f", folder / "apache2.conf", "-D", "FOREGROUND"]
        site.server = Running(command, env=_environment(folder))
        wait_until(lambda: _answers(site), 60, lambda: site.server.output + site.errors())
        yield site
    finally:
        if hasattr(site, "server"):
            site.server.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                site.server.process.wait(40)
            site.server.kill()
            shutil.rmtree(
                metrics_folder.folder_of(base / "shared/instance", site.server.process.pid), ignore_errors=True
            )
        shutil.rmtree(folder, ignore_errors=True)


def _enable(folder: Path, way: str) -> None:
    """The commands of docs/apache.md, on the copy."""
    others = [module for modules in OF_WAY.values() for module in modules]
    enabled = [file.stem for file in (folder / "mods-enabled").glob("*.load")]
    commands = [["a2dissite", "000-default"], ["a2enmod", *MODULES, *OF_WAY[way]], ["a2ensite", "groundwork"]]
    if unneeded := set(others) & set(enabled) - set(OF_WAY[way]):
        commands.insert(0, ["a2dismod", "--force", *unneeded])
    for command in commands:
        environment = {"APACHE_CONFDIR": str(folder), "PATH": PATH}
        subprocess.run([*command, "--quiet"], env=environment, check=True, capture_output=True, timeout=60)


def _environment(folder: Path) -> dict[str, str]:
    """What /etc/apache2/envvars would say."""
    own = {"APACHE_RUN_DIR": folder / "run", "APACHE_LOG_DIR": folder / "log", "APACHE_PID_FILE": folder / "apache.pid"}
    own |= {"APACHE_LOCK_DIR": folder / "run", "APACHE_RUN_USER": "www-data", "APACHE_RUN_GROUP": "www-data"}
    return {name: str(value) for name, value in own.items()} | {"PATH": PATH, "LANG": "C"}


def _answers(site: Apache) -> bool:
    """Says 200, or 503 where no application is."""
    assert site.server.process.poll() is None, site.server.output
    try:
        return site.get("/health").status in {200, 503}
    except OSError:
        return False
