"""`flask db review`: would a pending migration break the release that still runs while the next one is deployed?

Both releases use the database for a moment, and a rollback brings the old one back to it. So a migration may add
("expand"); what takes away, or refuses what the old code writes ("contract"), waits for a release after the one that
no longer minds, and says so: SAFE_BECAUSE = "release 14 reads posts.teaser no more" at the top level of its file.
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
from app.platform.doctor import migrate

APPROVAL = "SAFE_BECAUSE"
REMEDY = (
    "The running release may not survive it. Deploy a release first that does, then this migration; "
    f'if that has happened, write {APPROVAL} = "why" into the migration.'
)
_REMOVING = {
    "drop_table": "removes a table",
    "drop_column": "removes a column",
    "rename_table": "renames a table",
}
_CONSTRAINING = {
    "create_unique_constraint",
    "create_check_constraint",
    "create_exclude_constraint",
    "create_foreign_key",
    "create_primary_key",
}
_CONSTRAINT = "adds a constraint, which may refuse what the old code writes"
_REQUIRED = "adds a required column without server_default, which the old code's INSERTs lack"
# For SQL in capitals, with single blanks, without what stands in parentheses. COLUMN may be left out in an ALTER TABLE.
_REMOVING_SQL = re.compile(r"\b(DROP (TABLE|COLUMN|(MATERIALIZED )?VIEW)|TRUNCATE|DELETE FROM)\b")
_ALTER = re.compile(r"\bALTER (?:TABLE|(?:MATERIALIZED )?VIEW) (?:IF EXISTS )?(?:ONLY )?(\S+) (.*)")
_BREAKING_ACTION = re.compile(
    r"DROP (?!CONSTRAINT\b)|RENAME (?!CONSTRAINT\b)|ALTER (COLUMN )?+\S+ ((SET DATA )?TYPE|SET NOT NULL|DROP DEFAULT)\b"
    r"|ADD (?!.*\b(DEFAULT|GENERATED|\w*SERIAL)\b).*\bNOT NULL\b"
)
_CONSTRAINING_ACTION = re.compile(r"ADD (CONSTRAINT|UNIQUE|CHECK|FOREIGN KEY|PRIMARY KEY|EXCLUDE)\b")
_UNIQUE_INDEX = re.compile(r"\bCREATE UNIQUE INDEX .*\bON (?:ONLY )?(\S+)")
_CREATE_TABLE = re.compile(r"\bCREATE TABLE (?:IF NOT EXISTS )?(\S+)")


@click.command()
def review() -> None:
    """Fail (exit code 2) when a pending migration may break the release that runs now."""
    found = [f"{file.name}:{line}: {what}" for file in pending() for line, what in findings(file.read_text("utf-8"))]
    for finding in found:
        click.echo(finding, err=True)
    if found:
        click.echo(REMEDY, err=True)
        sys.exit(2)
    click.echo("Found nothing in the pending migrations that breaks the running release.", err=True)


def pending() -> list[Path]:
    """The files of the migrations that the database lacks; none for a new database, which no release uses yet."""
    with migrate.explained(), db.engine.connect() as connection:
        if migrations.state(connection) != "behind" or not inspect(connection).has_table("alembic_version"):
            return []
        applied = tuple(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(migrate.alembic_config())
    return [Path(script.path) for script in scripts.iterate_revisions("heads", applied or "base")]


class Operation:
    """A call that is one of Alembic's operations, if its name is: on `op`, on a batch, or imported by itself."""

    def __init__(self, call: ast.Call, names: dict[str, str], batch: str) -> None:
        function = call.func
        called = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        self.name = names.get(called, called)
        self.given = {keyword.arg: keyword.value for keyword in call.keywords}
        values = [*call.args, *self.given.values()]
        # What has a name names that first, and then its table.
        first = call.args[1:] if self.name in {*_CONSTRAINING, "create_index"} else call.args
        self.table = batch or _word(self.given.get("table_name") or self.given.get("source_table") or [*first, None][0])
        lists = [value.elts for value in values if isinstance(value, ast.List | ast.Tuple)]
        self.columns = {_word(column) for column in [*lists, []][0]}  # a foreign key's own come first
        self.column = next((value for value in values if isinstance(value, ast.Call)), None)

    def makes(self) -> set[tuple[str, str]]:
        """(table, "") of a table; (table, column) of a column that is null in what the old code writes."""
        if self.name == "create_table":
            return {(self.table, "")}
        if self.name == "add_column" and self.column and not self._has_default():
            return {(self.table, _word(name)) for name in self.column.args[:1]}
        return set()

    def breaks(self, new: set[tuple[str, str]]) -> str:
        """What it does to code that knows the schema before it, if anything; `new` is what the migration makes."""
        if self.name == "alter_column":
            if "new_column_name" in self.given:
                return "renames a column"
            if "type_" in self.given:
                return "changes a column's type"
            if _is(self.given.get("server_default"), None):
                return "removes a default, which the old code's INSERTs may rely on"
            return "makes a column required" if _is(self.given.get("nullable"), False) else ""
        if self.name == "add_column" and self.column and not self._has_default():
            is_required = any(_is(option.value, False) for option in self.column.keywords if option.arg == "nullable")
            return _REQUIRED if is_required else ""
        if self.name in _CONSTRAINING or (self.name == "create_index" and _is(self.given.get("unique"), True)):
            # A column that is null refuses nothing: not by a foreign key, and not by being unique.
            return _CONSTRAINT if new.isdisjoint((self.table, column) for column in {"", *self.columns}) else ""
        return _REMOVING.get(self.name, "")

    def _has_default(self) -> bool:
        options = self.column.keywords if self.column else []
        return any(option.arg == "server_default" and not _is(option.value, None) for option in options)


class Statements:
    """A text that is SQL, if it reads so."""

    def __init__(self, sql: str) -> None:
        found = 1
        while found:  # from the innermost out
            sql, found = re.subn(r"\([^()]*\)", " ", sql)
        self.statements = " ".join(sql.upper().replace('"', "").split()).split(";")

    def makes(self) -> set[tuple[str, str]]:
        return {(name, "") for statement in self.statements for name in _CREATE_TABLE.findall(statement)}

    def breaks(self, new: set[tuple[str, str]]) -> str:
        for statement in self.statements:
            if removing := _REMOVING_SQL.search(statement):
                return f"executes {removing[0]}"
            table, actions = alter.groups() if (alter := _ALTER.search(statement)) else ("", "")
            for action in map(str.strip, actions.split(",")):
                if _BREAKING_ACTION.match(action):
                    return f"executes ALTER {table}: {action}"
                if _CONSTRAINING_ACTION.match(action) and (table, "") not in new:
                    return _CONSTRAINT
            if (index := _UNIQUE_INDEX.search(statement)) and (index[1], "") not in new:
                return _CONSTRAINT
        return ""


def findings(source: str) -> Iterator[tuple[int, str]]:
    """(line, what it does) for each step of `upgrade` that old code may not survive."""
    module = ast.parse(source)
    if any(map(_is_approval, module.body)):
        return
    imported = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom) and node.module == "alembic.op"]
    names = {alias.asname or alias.name: alias.name for node in imported for alias in node.names}
    steps = list(_steps(module, names, ""))
    new = {made for _, step in steps for made in step.makes()}
    yield from ((line, what) for line, step in steps if (what := step.breaks(new)))


def _steps(node: ast.AST, names: dict[str, str], batch: str) -> Iterator[tuple[int, Operation | Statements]]:
    """All below `node`, with their lines, but for docstrings and `downgrade`; `batch` is the table of one around it."""
    for child in ast.iter_child_nodes(node):
        table = batch
        match child:
            case ast.FunctionDef(name="downgrade") | ast.Expr(value=ast.Constant()):
                continue
            case ast.Constant(value=str(sql)):
                yield child.lineno, Statements(sql)
            case ast.JoinedStr(values=parts):
                yield child.lineno, Statements("".join(map(_piece, parts)))
                continue
            case ast.With(items=[ast.withitem(context_expr=ast.Call() as call)]):
                opened = Operation(call, names, "")
                table = opened.table if opened.name == "batch_alter_table" else batch
            case ast.Call():
                yield child.lineno, Operation(child, names, batch)
        yield from _steps(child, names, table)


def _is_approval(node: ast.stmt) -> bool:
    """Whether it is SAFE_BECAUSE = "why"; an empty text says nothing."""
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(why)))
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(why)))
        ):
            return name == APPROVAL and bool(why.strip())
    return False


def _word(node: ast.expr | None) -> str:
    """A name as SQL has it in capitals, or the expression that gives it."""
    return str(node.value).upper() if isinstance(node, ast.Constant) else ast.unparse(node) if node else ""


def _piece(part: ast.expr) -> str:
    """A part of an f-string, where a value is one word."""
    return str(part.value) if isinstance(part, ast.Constant) else re.sub(r"\W", "_", ast.unparse(part))


def _is(node: ast.expr | None, value: bool | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
