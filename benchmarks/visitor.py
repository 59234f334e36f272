"""A visitor of a real server who fills in forms, as a browser does: keeps the cookie and the form's CSRF token."""

import http.client
import re


class Visitor:
    """`with Visitor(port, "/form") as visitor:` opens that page; `visitor.send(path)` posts with what the page gave."""

    def __init__(self, port: int, form_at: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", form_at)
        response = self._connection.getresponse()
        self.cookie = response.getheader("Set-Cookie", "").partition(";")[0]
        page = response.read().decode()
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token, page
        self.token = token[1]

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def headers(self) -> dict[str, str]:
        return {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded"}

    def send(self, path: str, more: str = "") -> tuple[int, str]:
        """The status of the answer, and the Location that it leads to; `more` is urlencoded, and begins with &."""
        self._connection.request("POST", path, f"csrf_token={self.token}{more}", self.headers())
        response = self._connection.getresponse()
        response.read()
        return response.status, response.getheader("Location", "")
