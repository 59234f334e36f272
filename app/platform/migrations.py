"""Database migrations with Alembic: `flask db upgrade` under a lock, and what /ready needs to know of them.

Alembic is imported by the commands only: a web worker would carry 12 MiB for nothing.
"""

import functools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from app.extensions import db

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

State = Literal["current", "behind", "newer"]
FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_REVISION = re.compile(r"^(down_)?revision(?:: [^=]+)? = (.+)$", re.MULTILINE)


@functools.cache
def revisions(folder: Path) -> tuple[frozenset[str], frozenset[str]]:
    """All revisions in the code, and the newest (the head; two after a merge of branches), read without Alembic."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in (folder / "versions").glob("*.py"):
        for down, value in _REVISION.findall(file.read_text(encoding="utf-8")):
            # A merge follows several, and names them in a tuple.
            (followed if down else known).update(re.findall(r"[\"'](\w+)[\"']", value))
    return frozenset(known), frozenset(known - followed)


def state(connection: Connection) -> State:
    """Whether the database has the code's newest revision, an older one, or one that this code does not know."""
    known, heads = revisions(FOLDER)
    current: set[str] = set()
    if inspect(connection).has_table("alembic_version"):  # else: never migrated
        current = set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    if current == heads:
        return "current"
    return "behind" if current <= known else "newer"


@contextmanager
def explained() -> Iterator[None]:
    """Makes faults of the database and of Alembic one line with the remedy."""
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        if error.statement:
            raise click.ClickException(f"The database refuses ({reason}): {error.statement}") from None
        remedy = "Start it, or mend DATABASE_URL."
        raise click.ClickException(f"The database does not answer ({reason}). {remedy}") from None
    except Exception as error:
        # By name: a database that is up to date imports no Alembic.
        if not any(base.__name__ == "CommandError" for base in type(error).__mro__):
            raise
        remedy = next((hint for part, hint in _REMEDIES.items() if part in str(error)), "")
        raise click.ClickException(f"{str(error).rstrip('.')}. {remedy}".strip()) from None


class ExplainedGroup(AppGroup):
    def invoke(self, ctx: click.Context) -> Any:
        with explained():
            return super().invoke(ctx)


_REMEDIES = {
    "multiple heads": "Join the branches: flask db merge",
    "Multiple head revisions": "Join the branches: flask db merge",
    "Target database is not up to date": "First: flask db upgrade",
    "New upgrade operations detected": "Write them down: flask db migrate -m 'what changes'",
}
commands = ExplainedGroup("db", help="Database migrations.")


def init_app(app: Flask) -> None:
    app.cli.add_command(commands)


def alembic_config() -> "AlembicConfig":
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
    with db.engine.connect() as connection:
        before = state(connection)
    if revision == "head" and before == "current":
        click.echo("Database up to date.", err=True)
    elif revision == "head" and before == "newer":
        click.echo("Database newer than this code; left as it is.", err=True)
    else:
        from alembic import command

        command.upgrade(alembic_config(), revision)
        click.echo("Database migrated.", err=True)


@commands.command()
@click.argument("revision", default="-1")
def downgrade(revision: str) -> None:
    """Take the database back to REVISION (default: one step)."""
    from alembic import command

    command.downgrade(alembic_config(), revision)


@commands.command()
@click.option("-m", "--message", required=True, help="What changes, in a few words.")
@click.option("--empty", is_flag=True, help="Do not compare the models with the database.")
def migrate(message: str, empty: bool) -> None:
    """Write a new migration from the difference between the models and the database. Read it before you commit it."""
    from alembic import command

    def drop_empty(_: object, __: object, directives: list[Any]) -> None:
        if not empty and directives[0].upgrade_ops.is_empty():
            directives.clear()

    options: dict[str, Any] = {"autogenerate": not empty, "process_revision_directives": drop_empty}
    if not command.revision(alembic_config(), message=message, **options):
        click.echo("The models and the migrations agree; nothing was written.")


@commands.command()
def merge() -> None:
    """Join the newest migrations of two branches with one that follows both."""
    from alembic import command

    command.merge(alembic_config(), "heads", message="merge")


@commands.command()
def current() -> None:
    """Print the database's revision and whether the code has a newer one."""
    with db.engine.connect() as connection:
        click.echo(f"{state(connection)} (code: {', '.join(sorted(revisions(FOLDER)[1]))})")


@commands.command()
def history() -> None:
    """List all migrations, newest first."""
    from alembic import command

    command.history(alembic_config())


@commands.command()
def check() -> None:
    """Fail when the models and the migrations differ."""
    from alembic import command

    command.check(alembic_config())
