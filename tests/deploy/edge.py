"""A real nginx with the files of deploy/nginx, on loopback, with its own folder, log files and certificate.

    with edge(base, run) as site:
        site.get("/")                       # https, trusting the test's authority, to www.example.com
        Load(site.https, "/", connection=site.connection)

The application is not started here: Gunicorn has to listen on `run / "web.sock"`.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import ROOT
from scripts.render import render
from tests.deploy import rendering
from tests.deploy.authority import Authority
from tests.servers.running import Running, free_port, wait_until

DOMAIN = "www.example.com"
STOCK = Path("/etc/nginx/nginx.conf")  # as the package has it, with its gzip and its old TLS versions
CONNECTIONS = 4096  # per nginx worker; the package's 768 are for a small site
Edit = Callable[[str], str]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))

    @property
    def text(self) -> str:
        return self.body.decode()


class Edge:
    """The running nginx. `folder` has its files, `authority` signed its certificate."""

    def __init__(self, folder: Path, authority: Authority, domain: str) -> None:
        self.folder, self.authority, self.domain = folder, authority, domain
        self.http, self.https = free_port(), free_port()
        self.context = ssl.create_default_context(cafile=authority.file)
        self.server: Running

    def connection(self, timeout: float = 15, **options: Any) -> http.client.HTTPSConnection:
        """To https://<domain>, wherever that name leads."""
        return _Connection(self, timeout, **options)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        """By https, on a connection of its own. Options: `server_name` for another SNI, `source` for an address."""
        connection = self.connection(**options)
        return _ask(connection, method, path, body, headers)

    def plain(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        """By http."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=15)
        return _ask(connection, method, path, None, {"Host": self.domain, **(headers or {})})

    def access_lines(self, up_to: Answer) -> list[dict[str, str]]:
        """What was logged, once it has the line for this answer, which may be a moment later than the answer."""
        log = self.folder / "log/groundwork.log"
        wait_until(lambda: up_to["X-Request-ID"] in log.read_text(), 10, log.read_text)
        return [json.loads(line) for line in log.read_text().splitlines()]

    def errors(self) -> str:
        return (self.folder / "log/error.log").read_text()

    def reload(self) -> None:
        """As `systemctl reload nginx`; comes back when new workers serve."""
        before = set(self.server.children())
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: set(self.server.children()) - before, 20, self.errors)


class _Connection(http.client.HTTPSConnection):
    def __init__(self, site: Edge, timeout: float, server_name: str | None = None, source: str = "127.0.0.1") -> None:
        super().__init__(site.domain, timeout=timeout, context=site.context)
        self._site, self._server_name, self._from = site, server_name or site.domain, source

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self._site.https), self.timeout, (self._from, 0))
        self.sock = self._site.context.wrap_socket(raw, server_hostname=self._server_name)


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any, headers: Mapping[str, str] | None
) -> Answer:
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


@contextlib.contextmanager
def edge(
    base: Path,
    run: Path,
    *files: str,
    stock: str | None = None,
    edit: Edit | None = None,
    workers: int = 2,
    domain: str = DOMAIN,
    **values: str,
) -> Iterator[Edge]:
    """nginx with `deploy/nginx/<file>`, for releases below `base` and sockets in `run`; more values as render.py's.

    `edit` takes the comment off a choice in each file. Without `files`: groundwork.conf and default.conf. `stock` is
    the text of an nginx.conf, else this machine's package's.
    """
    folder = Path(tempfile.mkdtemp(prefix="gw-nginx-"))
    site = Edge(folder, Authority(folder / "authority"), domain)
    site.authority.issue(folder / "tls", domain)
    (folder / "log").mkdir()
    places = {"base": base, "run": run, "certificates": folder / "tls", "logs": folder / "log"}
    places |= {"nginx": folder / "groundwork", "acme": folder / "acme"}
    rendering_values = {name: str(path) for name, path in places.items()} | {"domain": domain} | values
    rendering_values |= {"http": str(site.http), "https": str(site.https)}
    for path in (folder, base, run):
        let_through(path)

    def place(file: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        text = render((ROOT / "deploy/nginx" / file).read_text(encoding="utf-8"), **rendering_values)
        text = _on_loopback(edit(text) if edit else text)
        target.write_text(text, encoding="utf-8")
        rendering.remember(f"nginx/{file}", target)

    for part in ("snippets", "pages"):
        for file in (ROOT / "deploy/nginx" / part).iterdir():
            place(f"{part}/{file.name}", folder / "groundwork" / ("pages" if part == "pages" else "") / file.name)
    for file in files or ("groundwork.conf", "default.conf"):
        place(file, folder / "sites" / file)
    main = folder / "nginx.conf"
    main.write_text(_private(stock or STOCK.read_text(encoding="utf-8"), folder, workers), encoding="utf-8")
    try:
        _check(main)
        site.server = Running(["nginx", "-p", folder, "-c", main, "-e", folder / "log/error.log", "-g", "daemon off;"])
        wait_until(lambda: _listens(site), 20, lambda: site.server.output + site.errors())
        yield site
    finally:
        if hasattr(site, "server"):
            site.server.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                site.server.process.wait(10)
            site.server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def let_nginx_read(instance: Path) -> None:
    """The commands of docs/nginx.md: nginx' group passes through the folder and reads only these two below it."""
    for name in ("static", "uploads"):
        (instance / name).mkdir(exist_ok=True)
        for path in (instance / name, *(instance / name).rglob("*")):
            shutil.chown(path, group="www-data")
            path.chmod(0o2750 if path.is_dir() else 0o640)
    shutil.chown(instance, group="www-data")
    instance.chmod(0o710)


def _private(text: str, folder: Path, workers: int) -> str:
    """An nginx.conf with its paths below `folder` and nothing served but `folder / "sites"`."""
    text = re.sub(r"(?m)^(\s*(?:pid|error_log|access_log|include)\s+)(?!/etc/nginx/mime\.types).*$", "", text)
    text = re.sub(r"worker_processes\s+\S+;", f"worker_processes {workers};", text)
    text = re.sub(r"worker_connections\s+\d+;", f"worker_connections {CONNECTIONS};", text)
    temporary = "".join(
        f"    {name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    own = f"{temporary}    access_log {folder}/log/other.log;\n    include {folder}/sites/*.conf;\n"
    text = re.sub(r"(?m)^http\s*\{", "http {\n" + own.replace("\\", "\\\\"), text, count=1)
    return f"pid {folder}/nginx.pid;\nworker_rlimit_nofile {2 * CONNECTIONS};\n{text}"


def _on_loopback(text: str) -> str:
    """The files listen on every address, as people want them to. Tests must not."""
    return re.sub(r"\blisten (\[::\]:)?(?=\d)", lambda match: f"listen {'[::1]:' if match[1] else '127.0.0.1:'}", text)


def let_through(folder: Path) -> None:
    """The server's workers are another user's: pytest's folders and mkdtemp's are closed to them."""
    for path in (folder, *folder.parents):
        if path.exists() and path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o001)


def _check(main: Path) -> None:
    checked = subprocess.run(
        ["nginx", "-t", "-p", main.parent, "-c", main, "-e", main.parent / "log/error.log"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr, checked.stderr


def _listens(site: Edge) -> bool:
    assert site.server.process.poll() is None, site.server.output
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", site.https)) == 0
