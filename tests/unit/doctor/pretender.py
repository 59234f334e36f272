"""A site on loopback that answers the live checks as a good one does, but for one thing that a test spoils.

It is not the application: with that, behind nginx, the checks meet in tests/deploy/nginx. Here each says what it can.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from app.platform.doctor.page import PROBE_PATH
from app.platform.doctor.site import Site
from app.platform.version import version

DOMAIN = "www.example.com"
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'"
SECURE = {
    "Content-Security-Policy": POLICY, "Strict-Transport-Security": "max-age=31536000",
    "X-Request-ID": "0123456789abcdef",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp", "Content-Type": "text/html; charset=utf-8",
}  # fmt: skip
STYLE = {
    "Content-Type": "text/css", "Content-Encoding": "gzip", "Vary": "Accept-Encoding", "ETag": '"1"',
    "Cache-Control": "public, max-age=31536000, immutable",
}  # fmt: skip
COOKIE = "__Host-session=1; Path=/; Secure; HttpOnly; SameSite=Lax"
FORM = '<form><input name="csrf_token" value="1"></form>'
TOLD = {"client": "192.0.2.1", "scheme": "https", "host": DOMAIN, "user": 1000, "debug": False, "version": version()}
LIMIT = 8 * 1024 * 1024


@dataclass
class Reply:
    """To one request, of which `environ` tells. What spoils it changes this."""

    environ: dict[str, Any]
    status: int = 404
    headers: dict[str, str] = field(default_factory=lambda: dict(SECURE))
    twice: dict[str, str] = field(default_factory=dict)  # headers that come a second time
    body: str = "nothing here"

    @property
    def path(self) -> str:
        return str(self.environ["PATH_INFO"])

    @property
    def asked(self) -> str:
        return str(self.environ["REQUEST_METHOD"])


Spoil = Callable[[Reply], None]


def good(reply: Reply) -> None:
    """What a good site answers."""
    environ, path, known = reply.environ, reply.path, reply.environ.get("HTTP_HOST", "").partition(":")[0] == DOMAIN
    if not known:
        reply.status, reply.body = 400, "no such host"
    elif int(environ.get("CONTENT_LENGTH") or 0) > LIMIT:
        reply.status = 413
    elif path == "/ws":
        reply.status = 101 if "evil" not in environ["HTTP_ORIGIN"] else 403
    elif path == PROBE_PATH:
        reply.status, reply.body = 200, json.dumps(TOLD)
    elif path == "/auth/account":
        reply.status = 302
        reply.headers["Location"] = "/auth/login"
    elif path == "/auth/login":
        reply.status, reply.body = 200 if reply.asked == "GET" else 429, FORM
        reply.headers["Set-Cookie"] = COOKIE
    elif path == "/a.css":
        reply.status, reply.body = 200, ""
        reply.headers |= STYLE
    elif path in {"/", "/about", "/health", "/ready"} and reply.asked == "GET":
        reply.status, reply.body = 200, '<link rel="stylesheet" href="/a.css">'


class Quiet(WSGIRequestHandler):
    def version_string(self) -> str:
        return "nginx"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - as werkzeug names it
        """Nobody reads it."""


def _application(spoil: Spoil) -> Callable[..., list[bytes]]:
    def serve(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        reply = Reply(environ)
        good(reply)
        spoil(reply)
        body = reply.body.encode()
        headers = [*reply.headers.items(), *reply.twice.items()]
        if reply.status != 101:
            headers.append(("Content-Length", str(len(body))))
        start_response(f"{reply.status} So", headers)
        return [body]

    return serve


def _plainly(reply: Reply) -> None:
    """By http: people are led to https, programs are not."""
    reply.status, reply.body = (403, "") if reply.path.startswith("/api/") else (301, "")
    reply.headers["Location"] = f"https://{DOMAIN}{reply.path}"


@contextmanager
def _listening(spoil: Spoil, context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, _application(spoil), threaded=True, request_handler=Quiet, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _nothing(reply: Reply) -> None:
    """A good site."""


@contextmanager
def pretended(
    certificate: Path, spoil: Spoil = _nothing, plain: Spoil = _nothing, context: ssl.SSLContext | None = None
) -> Iterator[Site]:
    """The site, with the certificate of this folder; what comes by http is spoilt by `plain`."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ECDHE+AESGCM")
    context.load_cert_chain(certificate / "fullchain.pem", certificate / "privkey.pem")

    def by_http(reply: Reply) -> None:
        _plainly(reply)
        plain(reply)

    with _listening(spoil, context) as https, _listening(by_http) as http:
        yield Site(f"https://{DOMAIN}:{https}", "127.0.0.1", http)
