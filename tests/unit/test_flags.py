"""Flags: off until somebody switches them, and never misspelt."""

import pytest
from flask import Flask

from app.platform import flags


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "FLAGS", {})
    flags.declare_flag("new-search", "The search is the new one.")


@pytest.mark.parametrize(
    ("switched", "on"), [({}, False), ({"new-search": True}, True), ({"new-search": False}, False)]
)
def test_a_flag_is_off_until_it_is_switched(app: Flask, switched: dict[str, bool], on: bool) -> None:
    app.extensions["flags"] = switched
    with app.app_context():
        assert flags.flag("new-search") is on


def test_without_anybody_who_switches_it_is_off(app: Flask) -> None:
    app.extensions.pop("flags", None)
    with app.app_context():
        assert flags.flag("new-search") is False


def test_a_misspelt_flag_is_an_error_and_not_off_for_ever(app: Flask) -> None:
    app.extensions["flags"] = {"new-serach": True}
    with app.app_context(), pytest.raises(LookupError, match="new-serach"):
        flags.flag("new-serach")
