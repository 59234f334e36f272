from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask, request

from app.extras.live_settings.live import Live
from tests.features.conftest import Visitor

Write = Callable[[str], None]


@pytest.fixture
def live(app: Flask) -> Iterator[Live]:
    """Those of `app`. What they did to loggers is undone."""
    found: Live = app.extensions["live_settings"]
    yield found
    found.path.unlink(missing_ok=True)
    found.look()


@pytest.fixture
def file(live: Live) -> Path:
    return live.path


@pytest.fixture
def write(live: Live) -> Write:
    """Writes the file, and has it read at once."""

    def write_and_look(text: str) -> None:
        live.path.write_text(text, encoding="utf-8")
        live.look()

    return write_and_look


@pytest.fixture
def admin(app: Flask) -> Visitor:
    """An admin, whichever feature knows who is one."""
    app.extensions["is_admin"] = lambda: request.cookies.get("who") == "admin"
    client = app.test_client()
    client.set_cookie("who", "admin")
    return Visitor(client)
