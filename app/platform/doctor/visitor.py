"""Somebody in a browser, for checks that fill in forms of the running site: keeps cookies, sends the form's token."""

import re
from html import unescape
from urllib.parse import urlencode

from app.platform.doctor.site import Answer, Site

_TOKEN = re.compile(r"name=\"csrf_token\"[^>]*value=\"([^\"]+)\"")


class Visitor:
    def __init__(self, site: Site, cookies: dict[str, str] | None = None) -> None:
        self._site, self.cookies = site, dict(cookies or {})

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def send(self, path: str, form: Answer, **fields: str) -> Answer:
        """`form` is the page that has the form. Raises LookupError when it has none of ours."""
        if not (token := _TOKEN.search(form.text)):
            raise LookupError(f"the page before {path} has no form of ours ({form.status})")
        return self._ask("POST", path, urlencode({"csrf_token": unescape(token[1]), **fields}).encode())

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, "Origin": self._site.url.removesuffix(self._site.prefix)}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self._site.ask(method, path, headers=headers, body=body)
        for text in answer.all("Set-Cookie"):
            name, _, value = text.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer
