"""Somebody who registers and publishes a post with an image, through whatever stands in front of the application."""

import http.client
import re

from benchmarks.visitor import Visitor

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


class Author(Visitor):
    """Has an account, and is logged in."""

    def __init__(self, connection: http.client.HTTPConnection, name: str) -> None:
        self._connection = connection
        self._cookies: dict[str, str] = {}
        self.open("/auth/register")
        assert self.send("/auth/register", f"&name={name}&password=correct+horse+battery")[0] == 303

    def publish(self, title: str) -> str:
        """The address of the image."""
        self.open("/posts/new")
        fields = {"csrf_token": self.token, "request_key": title, "title": title, "body": "Written."}
        parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
        parts.append(b'name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + PNG)
        body = b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"
        headers = self.headers() | {"Content-Type": "multipart/form-data; boundary=x"}
        status, location, _ = self._ask("POST", "/posts/new", body, headers)
        assert status == 303, status
        page = self._ask("GET", location)[2].decode()
        assert title in page
        (address,) = re.findall(r'src="(/uploads/[^"]+)"', page)
        assert self._ask("GET", address)[2] == PNG
        return address

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        return response.status, response.getheader("Location", ""), response.read()
