"""What the first request would have to wait for is there before it comes (serving/warming.py)."""

import logging
from pathlib import Path

import pytest
from flask import Flask, render_template

from serving.warming import warm


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    (tmp_path / "good.html").write_text("good {{ 1 + 1 }}")
    (tmp_path / "broken.html").write_text("{% if %}")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    return Flask(__name__, template_folder=str(tmp_path))


def test_templates_are_compiled_before_the_first_request(app: Flask, tmp_path: Path) -> None:
    warm(app)
    (tmp_path / "good.html").unlink()  # needed no more
    with app.app_context():
        assert render_template("good.html") == "good 2"


def test_a_template_with_a_fault_is_told_of_and_stops_no_start(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        warm(app)
    assert [record.getMessage().partition(" can not")[0] for record in caplog.records] == ["broken.html"]


def test_an_application_that_is_none_of_flasks_is_left_alone() -> None:
    warm(lambda environ, start_response: [])
