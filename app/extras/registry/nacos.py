"""What Nacos' HTTP API takes to keep one instance of a service registered. It knows no process, no thread, no lock.

v1 (Nacos 1 and 2): https://nacos.io/en/docs/open-api; v3 (Nacos 3): https://nacos.io/en/docs/v3.2/manual/user/open-api/
"""

import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

PORT = 8848  # Nacos' own
TIMEOUT = 3.0  # s for each step of a request: less than the 5 s between two heartbeats
_PATHS = {
    "v1": {"login": "/nacos/v1/auth/login", "instance": "/nacos/v1/ns/instance"},
    "v3": {"login": "/nacos/v3/auth/user/login", "instance": "/nacos/v3/client/ns/instance"},
}
_NOT_FOUND = {20404, 21003}  # "code" of the answer to a heartbeat: of v1, of v3


class NacosError(Exception):
    """Nacos does not answer, or refuses; the text says what."""


class UnknownInstanceError(NacosError):
    """Nacos has forgotten the instance: it wants to be registered again, whole."""


@dataclass(frozen=True)
class Instance:
    service: str
    ip: str
    port: int
    namespace: str
    group: str
    cluster: str
    version: str

    def name(self) -> dict[str, str]:
        """The parameters that say which one it is. Ephemeral: it ends by itself when nobody sends heartbeats."""
        return {
            "serviceName": self.service,
            "groupName": self.group,
            "namespaceId": self.namespace,
            "clusterName": self.cluster,
            "ip": self.ip,
            "port": str(self.port),
            "ephemeral": "true",
        }

    def metadata(self) -> dict[str, str]:
        return {"version": self.version}


class Nacos:
    """For one thread. Every call raises NacosError when none of the servers does it."""

    def __init__(self, addresses: Iterable[str], api: str, username: str | None = None, password: str = "") -> None:
        self._servers = deque(_split(address) for address in addresses)  # the one in use first
        self._api, self._login = api, {"username": username, "password": password} if username else None
        self._token, self._token_ends = "", 0.0

    def register(self, instance: Instance) -> None:
        """Also of one that is there: it is replaced."""
        parameters = instance.name() | {"metadata": json.dumps(instance.metadata())}
        self._instance("POST", parameters | {"weight": "1.0", "enabled": "true", "healthy": "true"})

    def beat(self, instance: Instance) -> None:
        """Nacos takes an instance for unhealthy after 15 s without, and removes it after 30 s."""
        if self._api == "v3":
            self._instance("POST", instance.name() | {"heartBeat": "true"})
            return
        beat = {
            "serviceName": f"{instance.group}@@{instance.service}",
            "cluster": instance.cluster,
            "ip": instance.ip,
            "port": instance.port,
            "weight": 1.0,
            "metadata": instance.metadata(),
            "scheduled": True,
        }
        self._instance("PUT", instance.name() | {"beat": json.dumps(beat)}, "/beat")

    def deregister(self, instance: Instance, timeout: float) -> None:
        self._instance("DELETE", instance.name(), timeout=timeout)

    def _instance(self, method: str, parameters: dict[str, str], below: str = "", timeout: float = TIMEOUT) -> None:
        path = _PATHS[self._api]["instance"] + below
        status, text = self._send(method, path, parameters, self._valid_token(timeout), timeout)
        if status in {401, 403} and self._login:  # expired, or another server's that shares no key with the first
            self._token = ""
            status, text = self._send(method, path, parameters, self._valid_token(timeout), timeout)
        answer = _json(text)
        if answer.get("code") in _NOT_FOUND:
            raise UnknownInstanceError(f"it has no instance {parameters['ip']}:{parameters['port']}")
        if status != 200 or answer.get("code") not in {None, 0, 200, 10200}:
            raise NacosError(f"{method} {path} was answered {status} {text[:200]}")

    def _valid_token(self, timeout: float) -> str:
        if not self._login or (self._token and time.monotonic() < self._token_ends):
            return self._token
        status, text = self._send("POST", _PATHS[self._api]["login"], self._login, "", timeout, in_body=True)
        answer = _json(text)
        if status != 200 or not answer.get("accessToken"):
            raise NacosError(f"the log-in of {self._login['username']} was answered {status}")  # no text: it may tell
        self._token = str(answer["accessToken"])
        self._token_ends = time.monotonic() + 0.8 * float(answer.get("tokenTtl") or 18_000)
        return self._token

    def _send(
        self, method: str, path: str, parameters: Any, token: str, timeout: float, in_body: bool = False
    ) -> tuple[int, str]:
        """Asks one server after the other until one of them is well; status and text of its answer."""
        headers, reason = {"User-Agent": "Nacos-Python-Client:groundwork"}, ""
        if token and self._api == "v3":
            headers["accessToken"] = token
        elif token:
            parameters = parameters | {"accessToken": token}
        body, target = None, f"{path}?{urlencode(parameters)}"
        if in_body or (self._api == "v3" and method == "POST"):
            body, target = urlencode(parameters), path
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        for _ in range(len(self._servers)):
            server = self._servers[0]
            try:
                with contextlib.closing(_connection(server, timeout)) as connection:
                    connection.request(method, target, body, headers)
                    answer = connection.getresponse()
                    text = answer.read(65_536).decode("utf-8", "replace")
                if answer.status < 500:
                    return answer.status, text
                reason = f"{server.netloc} answers {answer.status} {text[:200]}"
            except (OSError, HTTPException) as error:
                reason = f"{server.netloc}: {error or type(error).__name__}"
            self._servers.rotate(-1)
        raise NacosError(reason)


def own_address(addresses: Iterable[str]) -> str:
    """The address of this machine that Nacos sees, when nothing between them translates it. Raises OSError."""
    reason = OSError("no Nacos is named")
    for server in map(_split, addresses):
        try:
            found = socket.getaddrinfo(server.hostname, server.port or PORT, type=socket.SOCK_DGRAM)[0]
            with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
                probe.connect(found[4])  # sends nothing: it asks for the route
                return str(probe.getsockname()[0])
        except OSError as error:
            reason = error
    raise reason


def _split(address: str) -> SplitResult:
    return urlsplit(address if "://" in address else f"http://{address}")


def _connection(server: SplitResult, timeout: float) -> HTTPConnection:
    # Not urllib: HTTP_PROXY is for the way out, and Nacos is inside.
    kind = HTTPSConnection if server.scheme == "https" else HTTPConnection
    return kind(server.hostname or "", server.port or PORT, timeout=timeout)


def _json(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}
