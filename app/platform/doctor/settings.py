"""`flask settings`: the settings in force, and the text of .env.example."""

import json
import textwrap
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from pydantic import SecretStr
from sqlalchemy import make_url

from app.platform.logs import mask
from config import Config
from config_extras import ExtrasConfig
from config_types import ROOT

commands = AppGroup("settings", help="The settings in force.")


@commands.command()
def show() -> None:
    """Print every setting in force, secrets masked."""
    settings: Config = current_app.extensions["settings"]
    width = max(len(name) for name in Config.model_fields)
    for name in _in_order():
        click.echo(f"{name:<{width}}  {_shown(getattr(settings, name))}")


def _in_order() -> list[str]:
    """The settings of config.py, then those that it takes over from config_extras.py."""
    return sorted(Config.model_fields, key=lambda name: name in ExtrasConfig.model_fields)


def _shown(value: Any) -> str:
    if value is None:
        return "(unset)"
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(part)}" for name, part in value.items()) or "(none)"
    if isinstance(value, tuple):
        return ", ".join(_shown(part) for part in value) or "(none)"
    if isinstance(value, str) and "://" in value:
        return mask(make_url(value).render_as_string(hide_password=True) if "@" in value else value)
    return str(value) or "(none)"


@commands.command()
def example() -> None:
    """Print the text of .env.example, made from config.py."""
    click.echo(example_file(), nl=False)


def example_file() -> str:
    """Every setting with its meaning and default, commented out: an unchanged copy changes nothing."""
    lines = [
        "# Every setting and its default, made by `flask settings example` from config.py.",
        "# Nothing here is needed to start. Copy to .env, uncomment what you change, then: scripts/reload.sh",
    ]
    for name in _in_order():
        field = Config.model_fields[name]
        default = field.default
        if name == "INSTANCE_PATH":
            default = default.relative_to(ROOT)
        text = "" if default in (None, (), {}) else json.dumps(str(default)) if " " in str(default) else str(default)
        lines += ["", *textwrap.wrap(f"# {field.description}", 100, subsequent_indent="# "), f"# {name}={text}"]
    return "\n".join(lines) + "\n"
