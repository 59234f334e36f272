"""The application below a prefix, as www.example.com/myapp/, behind a proxy that says so."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from tests.features.letters import add_letters

SITE = "https://www.example.com"


def proxy(app: Flask, cut: bool) -> Client:
    def forward(environ: dict[str, Any], start_response: Any) -> Any:
        seen = environ["PATH_INFO"].removeprefix("/myapp") if cut else environ["PATH_INFO"]
        return app(
            environ
            | {
                "PATH_INFO": seen,
                "wsgi.url_scheme": "http",
                "HTTP_HOST": "127.0.0.1:8080",
                "HTTP_X_FORWARDED_PREFIX": "/myapp",
                "HTTP_X_FORWARDED_HOST": "www.example.com",
                "HTTP_X_FORWARDED_PROTO": "https",
            },
            start_response,
        )

    return Client(forward)


@pytest.mark.parametrize("cut", [True, False], ids=["the proxy cuts the prefix", "the proxy keeps it"])
def test_everything_works_below_a_prefix(cut: bool, make_app: Callable[..., Flask]) -> None:
    app = make_app(TRUSTED_PROXIES=1, TRUSTED_HOSTS=("www.example.com",))
    letters, client = add_letters(app), proxy(app, cut)

    def browse(path: str, **options: Any) -> TestResponse:
        return client.open(path, base_url=SITE, buffered=True, **options)

    form = browse("/myapp/letters/new").text
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', form)
    assert len(links) > 5
    for link in links:
        assert link.startswith("/myapp/")
        assert browse(link).status_code == 200
    (token,) = re.findall(r'name="csrf_token"[^>]* value="([^"]+)"', form)
    data = {"csrf_token": token, "text": "t"}
    sent = browse("/myapp/letters/new", method="POST", data=data, headers={"Referer": f"{SITE}/myapp/letters/new"})
    assert (sent.status_code, sent.headers["Location"]) == (303, "/myapp/letters/")
    assert letters == ["t"]
    assert "Your letter is on its way." in browse("/myapp/letters/").text
    assert browse("/myapp/letters?before=7").headers["Location"] == f"{SITE}/myapp/letters/?before=7"
    assert 'data-burst="/myapp/health"' in browse("/myapp/").text
