"""What a view leaves of a body is read behind a proxy, up to a limit, and only there."""

import io
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask

from app.platform.bodies import read_to_the_end


def asked(app: Flask) -> io.BytesIO:
    """The body that was sent to a page that does not read it."""
    body = io.BytesIO(b"x" * 100_000)
    app.test_client().post("/about", input_stream=body, environ_overrides={"CONTENT_LENGTH": "100000"}).close()
    return body


def test_behind_a_proxy_the_whole_body_is_read(make_app: Callable[..., Flask]) -> None:
    assert asked(make_app(TRUSTED_PROXIES=1)).tell() == 100_000


def test_without_a_proxy_no_thread_waits_for_the_client(make_app: Callable[..., Flask]) -> None:
    assert asked(make_app()).tell() == 0


@pytest.mark.parametrize(
    ("environ", "read"),
    [
        ({"CONTENT_LENGTH": "100000"}, 65_536),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 65_536),
        ({"CONTENT_LENGTH": "0"}, 0),
        ({}, 0),
    ],
)
def test_no_more_is_read_than_the_limit_asks_for(environ: dict[str, Any], read: int) -> None:
    body = io.BytesIO(b"x" * 100_000)
    read_to_the_end(environ | {"wsgi.input": body}, limit=60_000)
    assert body.tell() == read


def test_a_body_that_breaks_off_is_nobodys_affair() -> None:
    class Broken:
        def read(self, _: int) -> bytes:
            raise ConnectionResetError

    read_to_the_end({"CONTENT_LENGTH": "5", "wsgi.input": Broken()}, limit=10)


def test_of_who_sends_drop_by_drop_no_read_begins_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(100))
    monkeypatch.setattr("app.platform.bodies.time", Mock(monotonic=lambda: next(seconds)))

    class Drops:
        reads = 0

        def read(self, _: int) -> bytes:
            self.reads += 1
            return b"x"

    drops = Drops()
    read_to_the_end({"CONTENT_LENGTH": "100", "wsgi.input": drops}, limit=100)
    assert drops.reads == 4
