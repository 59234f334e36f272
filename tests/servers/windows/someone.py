"""Somebody who logs in and publishes a post, and is in the middle of the next one when the server stops."""

import re
import socket
from urllib.parse import urlencode

from benchmarks.visitor import Visitor
from tests.servers.running import wait_until

PASSWORD = "correct+horse+battery"


def use(port: int, name: str) -> None:
    with Visitor(port, "/auth/register") as visitor:
        assert visitor.send("/auth/register", f"&name={name}&password={PASSWORD}")[0] == 303
        assert log_out_and_in(visitor, name) == 303
        visitor.open("/posts/new")
        status, address = visitor.send("/posts/new", f"&title=Post+of+{name}&body=Written.&request_key={name}")
        assert status == 303
        assert f"Post of {name}" in visitor.open(address)


def log_out_and_in(visitor: Visitor, name: str) -> int:
    visitor.open("/auth/account")
    assert visitor.send("/auth/logout")[0] == 303
    visitor.open("/auth/login")
    return visitor.send("/auth/login", f"&name={name}&password={PASSWORD}")[0]


class HalfSent:
    """A POST of which the server has read the headers, but not the whole body."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        with Visitor(port, "/auth/register") as visitor:
            assert visitor.send("/auth/register", f"&name={name}&password={PASSWORD}")[0] == 303
            visitor.open("/posts/new")
            fields = {"csrf_token": visitor.token, "title": "Sent late", "body": "x" * 1000, "request_key": name}
            headers = visitor.headers()
        body = urlencode(fields).encode()
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=40)
        headers |= {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Expect": "100-continue"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._connection.sendall(f"POST /posts/new HTTP/1.1\r\n{lines}\r\n".encode())
        assert self._connection.recv(1000).startswith(b"HTTP/1.1 100")
        self._connection.sendall(body[:500])
        self._rest = body[500:]

    def wait_until_nobody_else_is_let_in(self) -> None:
        wait_until(self._is_refused, 20)

    def _is_refused(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return True
        return False

    def finish(self) -> int:
        """The status of the answer."""
        self._connection.sendall(self._rest)
        answer = b""
        while chunk := self._connection.recv(65536):
            answer += chunk
        self._connection.close()
        status = re.match(rb"HTTP/1.1 (\d+)", answer)
        assert status, answer
        return int(status[1])
