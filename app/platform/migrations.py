"""Database migrations with Alembic: `flask db upgrade` under a lock, and what /ready needs to know of them.

Alembic is imported by the commands only: a web worker would carry 12 MiB for nothing.
"""

import functools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from app.extensions import db

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

State = Literal["current", "behind", "newer"]
FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_REVISION = re.compile(r"^(down_)?revision(?:: [^=]+)? = (.+)$", re.MULTILINE)


@functools.cache
def revisions(folder: Path = FOLDER) -> tuple[frozenset[str], str | None]:
    """All revisions in the code, and the newest one (the head), read from the files without Alembic."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in (folder / "versions").glob("*.py"):
        for down, value in _REVISION.findall(file.read_text(encoding="utf-8")):
            # A merge follows several, and names them in a tuple.
            (followed if down else known).update(re.findall(r"[\"'](\w+)[\"']", value))
    return frozenset(known), min(known - followed, default=None)


def state(connection: Connection) -> State:
    """Whether the database has the code's newest revision, an older one, or one that this code does not know."""
    known, head = revisions()
    current = None
    if inspect(connection).has_table("alembic_version"):  # else: never migrated
        current = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if current == head:
        return "current"
    return "behind" if current is None or current in known else "newer"


commands = AppGroup("db", help="Database migrations.")


def init_app(app: Flask) -> None:
    app.cli.add_command(commands)


def _alembic() -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig(stdout=sys.stdout)  # its own default is the stream of the moment of its import
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(rev)s_%%(slug)s")
    return config


@commands.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the database to REVISION (default: the newest). Safe to run from several machines at once."""
    try:
        with db.engine.connect() as connection:
            before = state(connection)
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise click.ClickException(
            f"The database does not answer ({reason}). Start it, or mend DATABASE_URL."
        ) from None
    if revision == "head" and before != "behind":
        click.echo(
            "Database up to date." if before == "current" else "Database newer than this code; left as it is.", err=True
        )
        return
    from alembic import command

    command.upgrade(_alembic(), revision)
    click.echo("Database migrated.", err=True)


@commands.command()
@click.argument("revision", default="-1")
def downgrade(revision: str) -> None:
    """Take the database back to REVISION (default: one step)."""
    from alembic import command

    command.downgrade(_alembic(), revision)


@commands.command()
@click.option("-m", "--message", required=True, help="What changes, in a few words.")
@click.option("--empty", is_flag=True, help="Do not compare the models with the database.")
def migrate(message: str, empty: bool) -> None:
    """Write a new migration from the difference between the models and the database. Read it before you commit it."""
    from alembic import command

    command.revision(_alembic(), message=message, autogenerate=not empty)


@commands.command()
def current() -> None:
    """Print the database's revision and whether the code has a newer one."""
    with db.engine.connect() as connection:
        click.echo(f"{state(connection)} (code: {revisions()[1]}, {current_app.config['APP_ENV']})")


@commands.command()
def history() -> None:
    """List all migrations, newest first."""
    from alembic import command

    command.history(_alembic())


@commands.command()
def check() -> None:
    """Fail when the models and the migrations differ."""
    from alembic import command
    from alembic.util.exc import CommandError

    try:
        command.check(_alembic())
    except CommandError as error:
        raise click.ClickException(f"{error}. Run: flask db migrate -m 'what changes'") from None
