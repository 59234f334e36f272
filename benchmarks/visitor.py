"""A visitor of a real server who fills in forms, as a browser does: keeps the cookies and the form's CSRF token."""

import http.client
import re


class Visitor:
    """`with Visitor(port, "/form") as visitor:` opens that page; `visitor.send(path)` posts with what the page gave."""

    def __init__(self, port: int, form_at: str, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._cookies: dict[str, str] = {}
        self.open(form_at)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def open(self, path: str) -> str:
        """Reads a page with a form, whose token counts from now on."""
        self._connection.request("GET", path, headers={"Cookie": self.headers()["Cookie"]})
        response = self._connection.getresponse()
        self._keep_cookies(response)
        page = response.read().decode()
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token, page
        self.token = token[1]
        return page

    def headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}

    def send(self, path: str, more: str = "") -> tuple[int, str]:
        """The status of the answer, and the Location that it leads to; `more` is urlencoded, and begins with &."""
        response, _ = self._post(path, more)
        return response.status, response.getheader("Location", "")

    def read(self, path: str, more: str) -> str:
        """As send(), but the page that comes back."""
        return self._post(path, more)[1]

    def upload(self, path: str, data: bytes, **fields: str) -> tuple[int, str]:
        """Sends a form with `data` as its file `image`; the status, and the page that comes back."""
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in (fields | {"csrf_token": self.token}).items()
        ]
        file = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + data
        body = "".join(parts).encode() + file + b"\r\n--x--\r\n"
        headers = self.headers() | {"Content-Type": "multipart/form-data; boundary=x"}
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        self._keep_cookies(response)
        return response.status, response.read().decode()

    def _post(self, path: str, more: str) -> tuple[http.client.HTTPResponse, str]:
        self._connection.request("POST", path, f"csrf_token={self.token}{more}", self.headers())
        response = self._connection.getresponse()
        self._keep_cookies(response)
        return response, response.read().decode()

    def _keep_cookies(self, response: http.client.HTTPResponse) -> None:
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
