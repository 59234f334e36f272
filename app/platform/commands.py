"""Commands for the operator: `flask settings …`, and `flask prepare` for scripts/start.sh."""

import json
import socket
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from pydantic import SecretStr
from sqlalchemy import make_url

from app.platform import migrations
from app.platform.logs import mask
from config import ROOT, Config

commands = AppGroup("settings", help="The settings in force.")


def init_app(app: Flask) -> None:
    app.cli.add_command(commands)
    app.cli.add_command(prepare)


@commands.command()
def show() -> None:
    """Print every setting in force, secrets masked."""
    settings: Config = current_app.extensions["settings"]
    width = max(len(name) for name in Config.model_fields)
    for name in Config.model_fields:
        click.echo(f"{name:<{width}}  {_shown(getattr(settings, name))}")


def _shown(value: Any) -> str:
    if value is None:
        return "(unset)"
    if isinstance(value, SecretStr):
        return "***"
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
    for name, field in Config.model_fields.items():
        default = field.default
        if name == "INSTANCE_PATH":
            default = default.relative_to(ROOT)
        text = "" if default in (None, ()) else json.dumps(str(default)) if " " in str(default) else str(default)
        lines += ["", *textwrap.wrap(f"# {field.description}", 100, subsequent_indent="# "), f"# {name}={text}"]
    return "\n".join(lines) + "\n"


@click.command()
@with_appcontext
@click.pass_context
def prepare(context: click.Context) -> None:
    """Check what would make a start pointless, then migrate. Prints the address's short name, then LOG_FILE."""
    settings: Config = current_app.extensions["settings"]
    require_writable(settings.INSTANCE_PATH)
    require_free_address(settings.HOST, settings.PORT)
    with migrations.explained():
        context.invoke(migrations.upgrade, revision="head")
    unix_socket = settings.HOST.removeprefix("unix:")
    name = str(settings.PORT) if unix_socket == settings.HOST else Path(unix_socket).stem
    run = settings.INSTANCE_PATH / "run"
    run.mkdir(exist_ok=True)
    (run / f"{name}.address").write_text(f"{settings.HOST}\n{settings.PORT}\n", encoding="utf-8")
    click.echo(f"{name}\n{settings.LOG_FILE or ''}")


def require_writable(folder: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise click.ClickException(
            f"The folder {folder} can not be written ({error.strerror}). Own it, or set INSTANCE_PATH to another one."
        ) from None


def require_free_address(host: str, port: int) -> None:
    """Raises ClickException when another program listens there, or when this user may not."""
    if host.startswith("unix:"):
        return  # Gunicorn replaces a socket that a killed server left behind
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":  # there it would allow what this is to find
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except PermissionError:
            raise click.ClickException(f"Port {port} needs more rights. Use one above 1023: -p 8080") from None
        except OSError as error:
            raise click.ClickException(
                f"{host}:{port} can not be used ({error.strerror}). Stop what listens there, or: -p {port + 1}"
            ) from None
