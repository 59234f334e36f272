"""`flask prepare`, for the start scripts: refuses what would make a start pointless, then migrates."""

import socket
import sys
import tempfile
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from app.platform.doctor import migrate
from config import Config


@click.command()
@with_appcontext
@click.pass_context
def prepare(context: click.Context) -> None:
    """Check what would make a start pointless, then migrate. Prints the address's short name, then LOG_FILE."""
    settings: Config = current_app.extensions["settings"]
    require_writable(settings.INSTANCE_PATH)
    require_free_address(settings.HOST, settings.PORT)
    with migrate.explained():
        context.invoke(migrate.upgrade, revision="head")
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
