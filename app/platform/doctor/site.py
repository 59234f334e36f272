"""The running site, as anybody in the internet asks it: the live checks ask through this.

Each question has a connection of its own and few seconds, however the answer is spread over them. Certificates are
verified, except where a check looks at just that; for an authority of your own: SSL_CERT_FILE=/path/to/authority.pem
in the environment.
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit

import click
from flask import current_app
from itsdangerous import URLSafeTimedSerializer

from app.platform.doctor.deadline import InTime
from app.platform.doctor.page import PROBE_HEADER, PROBE_PATH, PROBE_SALT

PATIENCE = 5.0  # seconds for a question and its whole answer
MOST = 1 << 20  # bytes of an answer that are looked at


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    seconds: float

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Site:
    """`url` as visitors type it. `connect`: an address that is asked in its place, before the DNS leads there."""

    url: str
    connect: str = ""
    http_port: int = 80
    _known: dict[str, Answer | OSError] = field(default_factory=dict, compare=False)

    @classmethod
    def at(cls, url: str, connect: str, http_port: int) -> "Site":
        """Raises click.UsageError for what is no URL."""
        try:
            parts = urlsplit(url)
            is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0  # .port raises, too
        except ValueError:
            is_one = False
        if not is_one:
            raise click.UsageError("--url takes what visitors type: https://www.example.com")
        if "@" in parts.netloc:  # it would be printed and kept, and is not sent; so it is not repeated here
            raise click.UsageError("--url takes what visitors type, without a name and a password.")
        return cls(url.rstrip("/"), connect, http_port)

    @property
    def is_encrypted(self) -> bool:
        return self.url.startswith("https://")

    @cached_property
    def host(self) -> str:
        return str(urlsplit(self.url).hostname)

    @cached_property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.is_encrypted else 80)

    @property
    def authority(self) -> str:
        """What a browser sends as Host."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def prefix(self) -> str:
        return urlsplit(self.url).path

    def open(self, plain: bool = False, context: ssl.SSLContext | None = None) -> socket.socket:
        """A connection; `plain`: to the port for http. Raises OSError, to which errors of TLS belong."""
        port, end = self.http_port if plain else self.port, time.monotonic() + PATIENCE
        raw = socket.create_connection((self.connect or self.host, port), PATIENCE)
        if plain or not self.is_encrypted:
            return raw
        try:
            raw.settimeout(max(end - time.monotonic(), 0.1))
            return (context or ssl.create_default_context()).wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        plain: bool = False,
    ) -> Answer:
        """Follows no redirect. Raises OSError, also for an answer that is none."""
        started, end = time.perf_counter(), time.monotonic() + PATIENCE
        connection = http.client.HTTPConnection(self.host)
        host = self.host if plain else self.authority
        with closing(self.open(plain)) as way:
            connection.sock = InTime(way, end, PATIENCE)
            try:
                connection.putrequest(method, self.prefix + path, skip_host=True, skip_accept_encoding=True)
                given = {"Host": host, "User-Agent": "flask-doctor", "Connection": "close"} | dict(headers or {})
                if body is not None:
                    given = {"Content-Length": str(len(body))} | given
                for name, value in given.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                response = connection.getresponse()
                content = response.read(MOST)
            except http.client.HTTPException as error:
                raise ConnectionError(f"no answer: {error!r}") from error
            return Answer(response.status, response.getheaders(), content, time.perf_counter() - started)

    def get(self, path: str, **options: Any) -> Answer:
        """A plain question is asked once only."""
        if options:
            return self.ask("GET", path, **options)
        if path not in self._known:
            try:
                self._known[path] = self.ask("GET", path)
            except OSError as error:
                self._known[path] = error
        found = self._known[path]
        if isinstance(found, OSError):
            raise found
        return found

    @cached_property
    def leads_to(self) -> str:
        """The site to which the first page leads; "" where that is this one. Raises OSError."""
        answer = self.get("/")
        target = urlsplit(urljoin(f"{self.url}/", answer["Location"]))
        if answer.status // 100 != 3 or (target.scheme, target.hostname) == (urlsplit(self.url).scheme, self.host):
            return ""
        return f"{target.scheme}://{target.netloc.rpartition('@')[2]}"

    @cached_property
    def is_away(self) -> str:
        """Why the application is not to be seen here; "" where it is."""
        try:
            if (status := self.get("/").status) >= 500:
                return f"the site answers with {status}."
            return f"the site is another: flask doctor --url {self.leads_to}" if self.leads_to else ""
        except OSError:
            return "the site does not answer."

    @property
    def server(self) -> str:
        """What it calls itself, by http where its certificate is refused; "" while it does not answer."""
        for plain in (False, True):
            with suppress(OSError):
                return self.get("/", plain=plain)["Server"]
        return ""

    def send(self, data: bytes, patience: float = 1) -> bytes | None:
        """What comes back, until the site hangs up or is silent for a second; None when nothing comes in `patience`."""
        received, end = b"", time.monotonic() + PATIENCE
        with closing(self.open()) as way:
            connection = InTime(way, end, PATIENCE)
            try:
                connection.sendall(data)
                while len(received) < MOST and (more := connection.recv(65536, 1 if received else patience)):
                    received += more
            except TimeoutError:
                return received or None
            except OSError:  # reset while it was sending, or after it has answered
                pass
        return received

    def impression(self, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What the application makes of such a request: it tells who has its secret. {} when it does not know us."""
        signed = URLSafeTimedSerializer(str(current_app.secret_key), salt=PROBE_SALT).dumps("doctor")
        answer = self.ask("GET", PROBE_PATH, headers={**(headers or {}), PROBE_HEADER: signed})
        if answer.status != 200:
            return {}
        found: dict[str, Any] = json.loads(answer.body)
        return found
