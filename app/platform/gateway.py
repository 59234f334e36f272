"""The one wrapper around Flask: everything that each request needs, in the order of `Gateway.__call__`.

As Flask hooks the same costs 80 µs a request, here about 9 (benchmarks/stack.py). Only this module decides
who is trusted: Gunicorn's and Waitress' own trust in forwarded headers is switched off.
"""

import functools
import ipaddress
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from werkzeug.sansio.utils import host_is_trusted

from app.platform import security
from app.platform.bodies import read_to_the_end
from app.platform.errors import bare_error
from app.platform.health import Answer
from app.platform.logs import access_writer, request_id
from app.platform.metrics import RequestMetrics
from config import Config

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
WsgiApp = Callable[[Environ, Any], Iterable[bytes]]
Probes = dict[str, Callable[[Environ], Answer]]

REQUEST_LINE_LIMIT = 4094  # bytes, as Gunicorn's limit_request_line
_REQUEST_ID = re.compile(r"[\w.-]{8,64}", re.ASCII)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE | re.ASCII)
_PREFIX = re.compile(r"(?:/[\w.~-]+)+", re.ASCII)
_RAW_SOCKETS = {"gunicorn.socket", "werkzeug.socket"}  # what a view needs to speak another protocol
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")
_log = logging.getLogger("groundwork.gateway")


class Gateway:
    """Wraps a WSGI application. `probes` are paths answered here, for any Host and without a log line."""

    def __init__(self, application: WsgiApp, settings: Config, probes: Probes, metrics: RequestMetrics) -> None:
        self._application = application
        self._probes = probes
        self._hops = settings.TRUSTED_PROXIES
        self._trusted_hosts = tuple(host.lower() for host in settings.TRUSTED_HOSTS)
        self._cross_origin = security.CrossOrigin(settings.CORS_ORIGINS)
        self._warned_of_forwarding = False
        self._debug = settings.DEBUG or settings.TESTING
        self.unread_limit = settings.MAX_CONTENT_LENGTH if self._hops else 0
        self.policy = security.ContentPolicy(settings.CSP_EXTRA_SOURCES)
        self.observe = metrics.observe
        self.begin_watch = metrics.watch.begin if metrics.watch else None
        self.end_watch = metrics.watch.end if metrics.watch else None
        self.write_access_line = access_writer(settings)
        self.is_good_host = functools.lru_cache(maxsize=256)(self._is_good_host)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        exchange = Exchange(self, environ, start_response)
        self._apply_forwarded(environ)
        if (probe := self._probes.get(environ.get("PATH_INFO", ""))) is not None:
            return exchange.answer_probe(probe)
        if begin := self.begin_watch:
            exchange.token = begin(environ)
        if self._cross_origin:  # before any refusal: a browser blames an error without these headers on CORS
            exchange.extra_headers = self._cross_origin.headers(environ.get("HTTP_ORIGIN"))
        if fault := self._malformed(environ):
            return exchange.refuse(*fault)
        if not self.is_good_host(environ.get("HTTP_HOST", "")):
            return exchange.refuse(400, "This server does not serve the host name that was asked for.")
        preflight = environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        if preflight and self._cross_origin:
            return exchange.answer("204 No Content", self._cross_origin.preflight(environ.get("HTTP_ORIGIN")), b"")
        try:
            exchange.body = self._application(environ, exchange.start_response)
        except Exception:
            if self._debug:
                raise
            _log.exception("the application raised outside Flask's error handling")
            # With exc_info, because the application may have started its answer already (PEP 3333).
            return exchange.refuse(500, "Something went wrong on our side. It has been logged.", sys.exc_info())
        return exchange

    @staticmethod
    def _malformed(environ: Environ) -> tuple[int, str] | None:
        """What Gunicorn's parser refuses and others (uWSGI, plain Waitress) let through: ambiguous is no request."""
        path = environ.get("PATH_INFO", "")
        target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or path  # as sent: Gunicorn's name, the others'
        if not target.startswith("/") or not (path.startswith("/") or (path == "" and environ.get("SCRIPT_NAME"))):
            return 400, "The request target must be a path."
        if encoding := environ.get("HTTP_TRANSFER_ENCODING"):
            if environ.get("CONTENT_LENGTH"):
                return 400, "Content-Length and Transfer-Encoding exclude each other."
            if encoding.lower() != "chunked":
                return 501, "No transfer encoding but chunked is understood."
        if len(path) + len(environ.get("QUERY_STRING", "")) > REQUEST_LINE_LIMIT:
            return 414, "The address is too long."
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket" and not _RAW_SOCKETS & environ.keys():
            return 501, "This server opens no WebSockets; Gunicorn does."
        return None

    def _apply_forwarded(self, environ: Environ) -> None:
        """Believes the last TRUSTED_PROXIES entries of the X-Forwarded-* headers, as Werkzeug's ProxyFix does."""
        hops = self._hops
        if not hops:
            if not self._warned_of_forwarding and any(name in environ for name in _FORWARDED):
                self._warned_of_forwarding = True
                _log.warning(
                    "forwarded headers arrive, but TRUSTED_PROXIES is 0: they are ignored. Set it to the number of "
                    "proxies in front of this server, if there are any."
                )
            return
        if (value := environ.get("HTTP_X_FORWARDED_FOR")) and (client := client_address(_from_right(value, hops))):
            environ["REMOTE_ADDR"] = client
        scheme = _from_right(environ.get("HTTP_X_FORWARDED_PROTO", ""), hops)
        if scheme in {"http", "https"}:
            environ["wsgi.url_scheme"] = scheme
        # Many proxies pass a client's own X-Forwarded-Host on: it counts only where a list says which hosts are ours.
        value = environ.get("HTTP_X_FORWARDED_HOST")
        if value and self._trusted_hosts and (host := _from_right(value, hops)):
            environ["HTTP_HOST"] = host
        if value := environ.get("HTTP_X_FORWARDED_PREFIX"):
            _apply_prefix(environ, _from_right(value, hops).rstrip("/"))

    def _is_good_host(self, host: str) -> bool:
        if not _HOST.fullmatch(host):
            return False
        port = host.rpartition(":")[2] if not host.endswith("]") else ""
        if port.isdigit() and ":" in host and int(port) > 65535:
            return False
        return not self._trusted_hosts or host_is_trusted(host.lower(), self._trusted_hosts)


def _apply_prefix(environ: Environ, prefix: str) -> None:
    """Links then begin with `prefix`, whether the proxy has cut it off the path or not."""
    if not _PREFIX.fullmatch(prefix):
        return
    environ["SCRIPT_NAME"] = prefix
    path = environ["PATH_INFO"]
    if path == prefix or path.startswith(f"{prefix}/"):  # whole segments: below /app, /apple is a page of its own
        environ["PATH_INFO"] = path.removeprefix(prefix) or "/"


def _from_right(value: str, hops: int) -> str:
    """The entry that the outermost trusted proxy wrote; a header that an inner proxy overwrote has only one."""
    entries = value.split(",")
    return entries[-hops].strip() if len(entries) >= hops else entries[0].strip()


@functools.lru_cache(maxsize=1024)
def client_address(text: str) -> str | None:
    """An IP address without the port that some balancers add, or None when it is not one."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


class Exchange:
    """One request and its answer on the way out: headers are added; after the last byte it is logged and counted."""

    __slots__ = (
        "_environ", "_gateway", "_request_id", "_route", "_size", "_start_response", "_started", "_status", "body",
        "extra_headers", "token",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, environ: Environ, start_response: Any) -> None:
        self._gateway = gateway
        self._environ = environ
        self._start_response = start_response
        self._started = time.perf_counter()
        self._status = "101"  # a view that takes the raw socket (WebSocket) never calls start_response
        self._size = "null"
        self.token: int | None = None
        self._route = "none"
        self.body: Iterable[bytes] = ()
        self.extra_headers: Headers = []
        given = environ.get("HTTP_X_REQUEST_ID", "")
        self._request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        request_id.set(self._request_id)

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Any:
        self._status = status[:3]
        request = self._environ.get("werkzeug.request")  # Flask takes it away again before the answer is closed
        if rule := getattr(request, "url_rule", None):  # a middleware's Request has none
            self._route = rule.rule
        names = {name.lower() for name, _ in headers}
        if "content-length" in names:
            self._size = next(value for name, value in headers if name.lower() == "content-length")
        headers = headers + [pair for pair in security.SECURITY_HEADERS if pair[0].lower() not in names]
        if "content-security-policy" not in names:
            nonce = self._environ.get(security.NONCE)
            policy = self._gateway.policy
            headers.append(("Content-Security-Policy", policy.with_nonce(nonce) if nonce else policy.without_nonce))
            headers.append(("Cross-Origin-Embedder-Policy", policy.embedder))
        if self._environ["wsgi.url_scheme"] == "https" and "strict-transport-security" not in names:
            headers.append(security.HSTS)
        headers.append(("X-Request-ID", self._request_id))
        headers += self.extra_headers
        return self._start_response(status, headers, exc_info) if exc_info else self._start_response(status, headers)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        try:
            if close := getattr(self.body, "close", None):
                close()
        finally:
            self._finish()
            if limit := self._gateway.unread_limit:
                read_to_the_end(self._environ, limit)

    def _finish(self) -> None:
        environ, seconds = self._environ, time.perf_counter() - self._started
        method = environ["REQUEST_METHOD"]
        if self.token is not None and (end := self._gateway.end_watch):
            end(self.token)
        self._gateway.observe(method, self._route, self._status, seconds)
        if write := self._gateway.write_access_line:
            agent, client = environ.get("HTTP_USER_AGENT", ""), environ.get("REMOTE_ADDR", "")
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            if not path.isascii():
                # WSGI carries bytes as latin-1 (PEP 3333).
                path = path.encode("latin-1", "replace").decode("utf-8", "replace")
            write(time.time(), self._request_id, method, path, self._status, seconds, self._size, client, agent)

    def answer(self, status: str, headers: Headers, body: bytes, exc_info: Any = None) -> Iterable[bytes]:
        self.start_response(status, headers, exc_info)
        self.body = [] if self._environ["REQUEST_METHOD"] == "HEAD" else [body]
        return self

    def refuse(self, status: int, detail: str, exc_info: Any = None) -> Iterable[bytes]:
        return self.answer(*bare_error(self._environ, status, detail), exc_info)

    def answer_probe(self, probe: Callable[[Environ], Answer]) -> Iterable[bytes]:
        if self._environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            self.extra_headers.append(("Allow", "GET, HEAD"))
            return self.refuse(405, "Only GET and HEAD are answered here.")
        status, body = probe(self._environ)
        content_type = "application/json" if body.startswith(b"{") else "text/plain; version=0.0.4; charset=utf-8"
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        self._start_response(status, [*headers, *security.SECURITY_HEADERS, ("X-Request-ID", self._request_id)])
        return [] if self._environ["REQUEST_METHOD"] == "HEAD" else [body]
