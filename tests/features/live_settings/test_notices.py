"""The banner that every page shows, and the flags that features ask for."""

from collections.abc import Callable

import pytest
from flask import Flask

from app.platform import flags
from tests.features.conftest import Visitor
from tests.features.live_settings.conftest import Write


@pytest.mark.parametrize("path", ["/", "/about", "/nothing-here"])
def test_a_banner_is_on_every_page(path: str, visitor: Visitor, write: Write) -> None:
    assert "<aside" not in visitor.get(path).text
    write('[banner]\ntext = "We move on <Sunday>."\n')
    page = visitor.get(path).text
    assert "We move on &lt;Sunday&gt;." in page
    assert page.count("<aside") == 1
    write("")
    assert "<aside" not in visitor.get(path).text


def test_a_warning_is_more_than_a_colour(visitor: Visitor, write: Write) -> None:
    write('[banner]\ntext = "We move."\nlevel = "warning"\n')
    assert '<aside class="notice warning"' in visitor.get("/").text
    assert "Please note:" in visitor.get("/").text


def test_a_flag_is_switched_without_a_restart(
    app: Flask, visitor: Visitor, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(flags.FLAGS, "greeting", "…")
    page = app.jinja_env.from_string("{% if flag('greeting') %}hello{% endif %}")
    app.add_url_rule("/greeting", view_func=lambda: page.render() or str(flags.flag("greeting")))
    assert visitor.get("/greeting").text == "False"
    write("[flags]\ngreeting = true\n")
    assert visitor.get("/greeting").text == "hello"
    write("[flags]\ngreeting = false\n")
    assert visitor.get("/greeting").text == "False"


def test_processes_without_requests_may_look_too(app: Flask, write: Callable[[str], None]) -> None:
    write('[banner]\ntext = "hello"\n')
    assert app.extensions["look_for_changes"]() is None
    assert app.extensions["live_settings"].now.banner.text == "hello"
