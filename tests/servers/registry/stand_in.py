"""A Nacos for tests, as its documents say it behaves, that refuses whatever they do not name.

v1: https://nacos.io/en/docs/open-api   v3: https://nacos.io/en/docs/v3.2/manual/user/open-api/
Log-in: https://nacos.io/en/docs/next/manual/user/auth/
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.running import free_port

UNHEALTHY, REMOVED = 15.0, 30.0  # s without a heartbeat
USER, PASSWORD = "service", "only-for-tests"
Key = tuple[str, ...]  # namespace, group, service, cluster, ip, port

TRUTH = re.compile("true|false")
NUMBER = re.compile(r"\d+(\.\d+)?")
PORT = re.compile(r"[1-9]\d{0,4}")
IP = re.compile(r"[0-9a-fA-F.:]+")
NAME = re.compile(r"[\w.:-]+", re.ASCII)
JSON = re.compile(r"\{.*\}")
_NAMED = {
    "serviceName": NAME, "groupName": NAME, "namespaceId": NAME, "clusterName": NAME,
    "ip": IP, "port": PORT, "ephemeral": TRUTH,
}  # fmt: skip
_WHOLE = _NAMED | {"weight": NUMBER, "enabled": TRUTH, "healthy": TRUTH, "metadata": JSON}
_BEAT = {"serviceName", "cluster", "ip", "port", "weight", "metadata", "scheduled"}


class RefusedError(Exception):
    """With the status of the answer, and its text."""


@dataclass
class Instance:
    metadata: dict[str, str]
    registered: float
    beaten: float
    healthy: bool = True


@dataclass
class Nacos:
    """`events` is what happened to instances: (moment, what, key); `faults` what a real one would have refused."""

    api: str = "v1"
    with_auth: bool = False
    token_seconds: float = 18_000
    hang: bool = False  # accepts, and never answers
    failing: bool = False  # answers 500
    namespaces: tuple[str, ...] = ("public", "staging")
    port: int = field(default_factory=free_port)
    instances: dict[Key, Instance] = field(default_factory=dict)
    events: list[tuple[float, str, Key]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    logins: int = 0
    _tokens: dict[str, float] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> "Nacos":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        nacos = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                nacos.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names are http.server's

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that has left

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    def forget(self) -> None:
        """As a restart: ephemeral instances are in memory only."""
        with self._lock:
            self.instances.clear()

    def living(self) -> dict[Key, Instance]:
        with self._lock:
            now = time.monotonic()
            for key, instance in list(self.instances.items()):
                instance.healthy = now - instance.beaten < UNHEALTHY
                if now - instance.beaten > REMOVED:
                    del self.instances[key]
                    self.events.append((now, "expired", key))
            return dict(self.instances)

    def happened(self, *what: str) -> list[str]:
        with self._lock:
            return [name for _, name, _ in self.events if not what or name in what]

    # --- what it answers ------------------------------------------------------------------------

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length).decode()
        while self.hang:
            time.sleep(0.05)
        if self.failing:
            self._reply(handler, 500, "server is DOWN now, please try again later!")
            return
        status = 200
        try:
            with self._lock:
                text = self._route(handler, body)
        except RefusedError as refusal:
            status, text = refusal.args
            if status not in {401, 403}:
                self.faults.append(f"{handler.command} {handler.path}: {text}")
        self._reply(handler, status, text)

    def _reply(self, handler: BaseHTTPRequestHandler, status: int, text: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def _route(self, handler: BaseHTTPRequestHandler, body: str) -> str:
        url = urlsplit(handler.path)
        query, form = _parameters(url.query), _parameters(body)
        if form and handler.headers.get("Content-Type") != "application/x-www-form-urlencoded":
            raise RefusedError(415, "a form has its own content type")
        routes: dict[tuple[str, str], Callable[[Any, Any, Any], str]] = {
            ("POST", "/nacos/v1/auth/login"): self._login,
            ("POST", "/nacos/v1/ns/instance"): self._v1_register,
            ("PUT", "/nacos/v1/ns/instance/beat"): self._v1_beat,
            ("DELETE", "/nacos/v1/ns/instance"): self._v1_deregister,
        }
        if self.api == "v3":
            routes = {
                ("POST", "/nacos/v3/auth/user/login"): self._login,
                ("POST", "/nacos/v3/client/ns/instance"): self._v3_register,
                ("DELETE", "/nacos/v3/client/ns/instance"): self._v3_deregister,
            }
        if not (found := routes.get((handler.command, url.path))):
            raise RefusedError(404, "there is no such API")
        return found(query, form, handler.headers)

    def _login(self, query: dict[str, str], form: dict[str, str], headers: Any) -> str:
        _check(form, {"username": re.compile(".+"), "password": re.compile(".+")})
        if query or (form["username"], form["password"]) != (USER, PASSWORD):
            raise RefusedError(403, "unknown user!")
        self.logins += 1
        token = secrets.token_urlsafe(16)
        self._tokens[token] = time.monotonic() + self.token_seconds
        return json.dumps({"accessToken": token, "tokenTtl": 18_000, "globalAdmin": False, "username": USER})

    def _authorize(self, token: str | None) -> None:
        if self.with_auth and self._tokens.get(token or "", 0) < time.monotonic():
            raise RefusedError(403, "token expired!" if token else "user not found!")

    def _v1_register(self, query: dict[str, str], form: dict[str, str], headers: Any) -> str:
        self._authorize(query.pop("accessToken", None))
        return self._register(query, form)

    def _v1_deregister(self, query: dict[str, str], form: dict[str, str], headers: Any) -> str:
        self._authorize(query.pop("accessToken", None))
        return self._deregister(query, form)

    def _v1_beat(self, query: dict[str, str], form: dict[str, str], headers: Any) -> str:
        self._authorize(query.pop("accessToken", None))
        key = self._key(query, form, _NAMED | {"beat": JSON})
        beat = json.loads(query["beat"])
        if set(beat) != _BEAT or beat["ip"] != query["ip"] or beat["port"] != int(query["port"]):
            raise RefusedError(400, f"not the beat of this instance: {beat}")
        if beat["cluster"] != query["clusterName"] or not isinstance(beat["weight"], float):
            raise RefusedError(400, f"not the beat of this instance: {beat}")
        if beat["serviceName"] != f"{query['groupName']}@@{query['serviceName']}":
            raise RefusedError(400, "the service of a beat is group@@name")
        if key not in self.living():
            return '{"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}'
        self._beaten(key)
        return '{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}'

    def _v3_register(self, query: dict[str, str], form: dict[str, str], headers: Any) -> str:
        self._authorize(headers.get("accessToken"))
        if form.pop("heartBeat", "false") == "false":
            self._register(form, query)
            return _result(0, "success", "ok")
        key = self._key(form, query, _NAMED)
        if key not in self.living():
            return _result(21003, "instance not found", None)
        self._beaten(key)
        return _result(0, "success", "ok")

    def _v3_deregister(self, query: dict[str, str], form: dict[str, str], headers: Any) -> str:
        self._authorize(headers.get("accessToken"))
        self._deregister(query, form)
        return _result(0, "success", "ok")

    # --- what it keeps --------------------------------------------------------------------------

    def _key(self, given: dict[str, str], elsewhere: dict[str, str], known: dict[str, re.Pattern[str]]) -> Key:
        if elsewhere:
            raise RefusedError(400, f"parameters at the wrong place: {sorted(elsewhere)}")
        _check(given, known)
        if given["ephemeral"] != "true" or given["namespaceId"] not in self.namespaces:
            raise RefusedError(400, "not ephemeral, or a namespace that nobody has made")
        names = ("namespaceId", "groupName", "serviceName", "clusterName", "ip", "port")
        return tuple(given[name] for name in names)

    def _register(self, given: dict[str, str], elsewhere: dict[str, str]) -> str:
        key = self._key(given, elsewhere, _WHOLE)
        metadata = json.loads(given["metadata"])
        if not all(isinstance(value, str) for value in metadata.values()):
            raise RefusedError(400, "metadata is a map of strings")
        now = time.monotonic()
        known = key in self.living()
        self.instances[key] = Instance(metadata, now, now)
        self.events.append((now, "again" if known else "registered", key))
        return "ok"

    def _beaten(self, key: Key) -> None:
        self.instances[key].beaten = time.monotonic()
        self.events.append((time.monotonic(), "beat", key))

    def _deregister(self, given: dict[str, str], elsewhere: dict[str, str]) -> str:
        key = self._key(given, elsewhere, _NAMED)
        self.instances.pop(key, None)
        self.events.append((time.monotonic(), "deregistered", key))
        return "ok"


def _parameters(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    if len(dict(pairs)) != len(pairs):
        raise RefusedError(400, "a parameter comes twice")
    return dict(pairs)


def _check(given: dict[str, str], known: dict[str, re.Pattern[str]]) -> None:
    if set(given) != set(known):
        raise RefusedError(400, f"unknown or missing: {sorted(set(given) ^ set(known))}")
    if wrong := [name for name, value in given.items() if not known[name].fullmatch(value)]:
        raise RefusedError(400, f"of the wrong type: {wrong}")


def _result(code: int, message: str, data: str | None) -> str:
    return json.dumps({"code": code, "message": message, "data": data})
