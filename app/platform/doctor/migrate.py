"""`flask db`: the database migrations, with Alembic, under a lock; each fault is one line with its remedy."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError

from app.extensions import db
from app.platform import migrations

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig


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


def alembic_config() -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig(stdout=sys.stdout)  # its own default is the stream of the moment of its import
    config.set_main_option("script_location", str(migrations.FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(rev)s_%%(slug)s")
    return config


@commands.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the database to REVISION (default: the newest). Safe to run from several machines at once."""
    with db.engine.connect() as connection:
        before = migrations.state(connection)
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
    _, newest = migrations.revisions(migrations.FOLDER)
    with db.engine.connect() as connection:
        click.echo(f"{migrations.state(connection)} (code: {', '.join(sorted(newest))})")


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
