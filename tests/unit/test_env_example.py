"""`.env.example` is the manual of the settings: complete, true, and harmless when copied as it is."""

from pathlib import Path

import pytest
from flask import Flask

from config import ROOT, Config, ProductionConfig, load_config

EXAMPLE = ROOT / ".env.example"
pytestmark = pytest.mark.usefixtures("dotenv")


def uncommented() -> list[str]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# ") for line in lines if line[2:].partition("=")[0].isupper() and "=" in line]


def test_the_example_is_what_the_command_prints(app: Flask) -> None:
    printed = app.test_cli_runner().invoke(args=["settings", "example"]).output
    assert EXAMPLE.read_text(encoding="utf-8") == printed, "run: flask --app wsgi settings example > .env.example"


def test_the_example_has_every_setting_once() -> None:
    assert sorted(line.partition("=")[0] for line in uncommented()) == sorted(Config.model_fields)


def test_an_unchanged_copy_changes_nothing(dotenv: Path) -> None:
    untouched = load_config()
    dotenv.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_config() == untouched


def test_every_line_uncommented_gives_the_defaults(dotenv: Path) -> None:
    defaults = ProductionConfig(APP_ENV="production")
    dotenv.write_text("\n".join(uncommented()), encoding="utf-8")
    assert load_config() == defaults
