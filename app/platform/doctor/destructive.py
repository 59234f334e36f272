"""`flask db review`: would a pending migration break the release that still runs while the next one is deployed?

Both releases use the database for a moment, and a rollback brings the old one back to it. So a migration may add
("expand"); what takes away ("contract") waits for a release after the one that stopped using it, and says so:
SAFE_BECAUSE = "release 14 reads posts.teaser no more" at the top level of its file.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from sqlalchemy import inspect, text

from app.extensions import db
from app.platform import migrations

APPROVAL = "SAFE_BECAUSE"
_REMOVING = {
    "drop_table": "removes a table",
    "drop_column": "removes a column",
    "rename_table": "renames a table",
}
_REMOVING_SQL = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|VIEW)|RENAME\s+(TO|COLUMN)|ALTER\s+COLUMN|SET\s+NOT\s+NULL|TRUNCATE|DELETE\s+FROM)\b",
    re.I,
)
REMEDY = (
    "The running release may still use it. Deploy a release first that does not, then this migration; "
    f'if that has happened, write {APPROVAL} = "why" into the migration.'
)


@click.command()
def review() -> None:
    """Fail (exit code 2) when a pending migration removes what the release that runs now may use."""
    found = [f"{file.name}:{line}: {what}" for file in pending() for line, what in findings(file.read_text("utf-8"))]
    for finding in found:
        click.echo(finding, err=True)
    if found:
        click.echo(REMEDY, err=True)
        sys.exit(2)
    click.echo("No pending migration removes anything.", err=True)


def pending() -> list[Path]:
    """The files of the migrations that the database lacks; none for a new database, which no release uses yet."""
    with migrations.explained(), db.engine.connect() as connection:
        if migrations.state(connection) != "behind" or not inspect(connection).has_table("alembic_version"):
            return []
        applied = tuple(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(migrations.alembic_config())
    return [Path(script.path) for script in scripts.iterate_revisions("heads", applied or "base")]


def findings(source: str) -> Iterator[tuple[int, str]]:
    """(line, what it does) for each step of `upgrade` that old code may not survive."""
    module = ast.parse(source)
    if any(isinstance(node, ast.Assign) and APPROVAL in map(ast.unparse, node.targets) for node in module.body):
        return
    looked_at = [
        node for node in module.body if getattr(node, "name", "") != "downgrade" and not isinstance(node, ast.Expr)
    ]
    for node in (inner for outer in looked_at for inner in ast.walk(outer)):
        if isinstance(node, ast.Call) and (what := _removes(node)):
            yield node.lineno, what
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and (sql := _REMOVING_SQL.search(node.value))
        ):
            yield node.lineno, f"executes {sql[0].upper()}"


def _removes(call: ast.Call) -> str | None:
    """What a call of Alembic's operations does to code that knows the schema before it, if anything."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name == "alter_column":
        if "new_column_name" in given:
            return "renames a column"
        if "type_" in given:
            return "changes a column's type"
        return "makes a column required" if _is_false(given.get("nullable")) else None
    if name == "add_column":
        return _adds_required(call)
    return _REMOVING.get(name)


def _adds_required(call: ast.Call) -> str | None:
    column = next((part for part in call.args if isinstance(part, ast.Call)), None)
    given = {keyword.arg: keyword.value for keyword in column.keywords} if column else {}
    required = _is_false(given.get("nullable")) and "server_default" not in given
    return "adds a required column without server_default, which the old code's INSERTs lack" if required else None


def _is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
