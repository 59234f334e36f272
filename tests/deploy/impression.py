"""What the application makes of a request: who it thinks asks, and by which address."""

import contextlib
import http.client
from collections.abc import Callable, Mapping
from typing import Any

from tests.deploy.nginx.test_trust import FORGED as ALL_FORGED
from tests.servers.running import wait_until

# An application without a proxy takes a well-formed id; `Connection` names what a proxy must not pass on.
FORGED = {name: value for name, value in ALL_FORGED.items() if name not in {"X-Request-ID", "Connection"}}


def impression(
    connection: http.client.HTTPConnection, log: Callable[[], list[dict[str, Any]]], headers: Mapping[str, str]
) -> tuple[object, ...]:
    """Where it leads to, its cookie, whether it is encrypted, and the client in its access lines, which `log` reads."""
    with contextlib.closing(connection):
        connection.request("GET", "/posts/new", headers=dict(headers))
        led = connection.getresponse()
        led.read()
        connection.request("GET", "/auth/login", headers=dict(headers))
        form = connection.getresponse()
        form.read()
    request_id = form.headers["X-Request-ID"]
    (line,) = wait_until(lambda: [line for line in log() if line["request_id"] == request_id], 10)
    cookie = form.headers["Set-Cookie"]
    flags = sorted(part for part in cookie.split("; ")[1:] if not part.startswith("Expires"))
    return led.status, led.headers["Location"], cookie.partition("=")[0], flags, line["client"]
