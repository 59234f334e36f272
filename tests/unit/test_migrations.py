"""`flask db`: up and down again, on several servers at once, and a database newer than the code left as it is."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import inspect, text

from app.extensions import db
from app.platform import migrations
from tests.unit.notes import CREATE_NOTES, FIRST, Model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of an application with one model, Note: ours without our revisions, and to write to."""
    copy = tmp_path / "100% mine"
    shutil.copytree(migrations.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__", "versions"))
    (copy / "versions").mkdir()
    (copy / "versions/20260101_notes.py").write_text(CREATE_NOTES)
    monkeypatch.setattr(migrations, "FOLDER", copy)
    monkeypatch.setitem(db.metadatas, None, Model.metadata)
    return copy


@pytest.fixture
def app(make_app: Callable[..., Flask], folder: Path) -> Flask:
    app = make_app(DATABASE_URL="sqlite:///notes.db")
    assert app.test_cli_runner().invoke(args=["db", "upgrade"]).exit_code == 0
    return app


@pytest.fixture
def flask_db(app: Flask) -> Callable[..., Result]:
    """`flask_db("upgrade")`: what `flask db upgrade` gave."""
    return lambda *arguments: app.test_cli_runner().invoke(args=["db", *arguments])


@pytest.fixture
def execute(app: Flask) -> Callable[[str], None]:
    def run(statement: str) -> None:
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(text(statement))

    return run


@pytest.fixture
def state(app: Flask) -> Callable[[], str]:
    def read() -> str:
        with app.app_context(), db.engine.connect() as connection:
            return migrations.state(connection)

    return read


def tables(app: Flask) -> set[str]:
    with app.app_context():
        return set(inspect(db.engine).get_table_names())


def test_down_and_up_again(app: Flask, flask_db: Callable[..., Result], state: Callable[[], str]) -> None:
    assert flask_db("downgrade", "base").exit_code == 0
    assert tables(app) == {"alembic_version"}
    assert state() == "behind"
    upgraded = flask_db("upgrade")
    assert (upgraded.exit_code, upgraded.stderr) == (0, "Database migrated.\n")
    assert "notes" in tables(app)
    assert state() == "current"


def test_models_and_migrations_agree(flask_db: Callable[..., Result]) -> None:
    checked = flask_db("check")
    assert checked.exit_code == 0, checked.output


def test_a_difference_is_found_and_its_remedy_named(
    flask_db: Callable[..., Result], execute: Callable[[str], None]
) -> None:
    execute("ALTER TABLE notes DROP COLUMN stars")
    checked = flask_db("check")
    assert checked.exit_code == 1
    assert "flask db migrate -m" in checked.stderr


def test_an_upgrade_of_a_current_database_does_nothing(flask_db: Callable[..., Result]) -> None:
    assert flask_db("upgrade").stderr == "Database up to date.\n"


def test_a_database_newer_than_the_code_is_left_as_it_is(
    app: Flask, flask_db: Callable[..., Result], execute: Callable[[str], None], state: Callable[[], str]
) -> None:
    execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert state() == "newer"
    upgraded = flask_db("upgrade")
    assert (upgraded.exit_code, upgraded.stderr) == (0, "Database newer than this code; left as it is.\n")
    assert "notes" in tables(app)
    assert "newer" in flask_db("current").output


def test_a_database_without_any_table_is_behind(
    flask_db: Callable[..., Result], execute: Callable[[str], None], state: Callable[[], str]
) -> None:
    for table in ("notes", "alembic_version"):
        execute(f"DROP TABLE {table}")
    assert state() == "behind"
    assert flask_db("upgrade").exit_code == 0


def test_a_database_that_does_not_answer_is_one_clear_line(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/app.db")
    upgraded = app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert upgraded.exit_code == 1
    assert "The database does not answer (unable to open database file)" in upgraded.stderr
    assert "Traceback" not in upgraded.output


def test_history_and_current_name_the_newest_revision(flask_db: Callable[..., Result]) -> None:
    assert flask_db("current").output == f"current (code: {FIRST})\n"
    assert "<base> -> 0123456789ab" in flask_db("history").output


# --- new migrations -----------------------------------------------------------------------------


def test_migrate_writes_what_the_models_have_and_the_database_has_not(
    folder: Path, flask_db: Callable[..., Result], execute: Callable[[str], None]
) -> None:
    execute("ALTER TABLE notes DROP COLUMN created_at")
    assert flask_db("migrate", "-m", "when it was made").exit_code == 0
    (written,) = folder.glob("versions/*_when_it_was_made.py")
    text = written.read_text(encoding="utf-8")
    assert "add_column(sa.Column('created_at', sa.DateTime(timezone=True)" in text, "a plain type, not one of ours"
    migrations.revisions.cache_clear()
    known, (head,) = migrations.revisions(folder)
    assert written.stem.split("_")[1] == head
    assert FIRST in known


def test_migrate_without_a_change_writes_nothing(folder: Path, flask_db: Callable[..., Result]) -> None:
    before = sorted(folder.glob("versions/*.py"))
    said = flask_db("migrate", "-m", "nothing")
    assert (said.exit_code, said.output) == (0, "The models and the migrations agree; nothing was written.\n")
    assert sorted(folder.glob("versions/*.py")) == before


def test_two_branches_are_a_fault_with_a_remedy_that_works(
    folder: Path, flask_db: Callable[..., Result], state: Callable[[], str]
) -> None:
    for name in ("b1", "b2"):
        text = f"revision = '{name}'\ndown_revision = '{FIRST}'\n\ndef upgrade():\n    pass\n"
        (folder / "versions" / f"{name}.py").write_text(text)
    migrations.revisions.cache_clear()
    assert state() == "behind"
    upgraded = flask_db("upgrade")
    assert upgraded.exit_code == 1
    assert "Join the branches: flask db merge" in upgraded.stderr
    assert flask_db("merge").exit_code == 0
    migrations.revisions.cache_clear()
    assert flask_db("upgrade").exit_code == 0
    assert state() == "current"


@pytest.mark.parametrize("command", [["upgrade", "nope"], ["downgrade", "nope"]])
def test_a_revision_that_does_not_exist_is_one_clear_line(command: list[str], flask_db: Callable[..., Result]) -> None:
    said = flask_db(*command)
    assert said.exit_code == 1
    assert "Can't locate revision identified by 'nope'" in said.stderr
    assert "Traceback" not in said.output


def test_an_empty_migration_can_be_written_and_applied(
    app: Flask, folder: Path, flask_db: Callable[..., Result], state: Callable[[], str]
) -> None:
    flask_db("migrate", "-m", "by hand", "--empty")
    (written,) = folder.glob("versions/*_by_hand.py")
    assert flask_db("upgrade", written.stem.split("_")[1]).exit_code == 0
    assert state() == "newer", "than the code that knows no such revision"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (set(), set())),
        ({"a.py": "revision = 'a1'\ndown_revision = None"}, ({"a1"}, {"a1"})),
        (
            {"a.py": "revision = 'a1'\ndown_revision = None", "b.py": 'revision = "b2"\ndown_revision = "a1"'},
            ({"a1", "b2"}, {"b2"}),
        ),
        ({"a.py": "revision: str = 'a1'\ndown_revision: str | None = 'z0'"}, ({"a1"}, {"a1"})),
        (
            {
                "a.py": "revision = 'a1'",
                "b.py": "revision = 'b2'",
                "m.py": "revision = 'm3'\ndown_revision = ('a1', 'b2')",
            },
            ({"a1", "b2", "m3"}, {"m3"}),
        ),
        ({"a.py": "revision = 'a1'", "b.py": "revision = 'b2'"}, ({"a1", "b2"}, {"a1", "b2"})),
        ({"notes.txt": "revision = 'a1'"}, (set(), set())),
    ],
)
def test_revisions_are_read_from_the_files(
    files: dict[str, str], expected: tuple[set[str], set[str]], tmp_path: Path
) -> None:
    (tmp_path / "versions").mkdir()
    for name, content in files.items():
        (tmp_path / "versions" / name).write_text(content)
    assert migrations.revisions(tmp_path) == expected


def test_a_migration_waits_for_a_writer_that_has_begun(
    app: Flask, flask_db: Callable[..., Result], state: Callable[[], str]
) -> None:
    flask_db("downgrade", "base")
    with app.app_context(), db.engine.connect() as other, ThreadPoolExecutor(1) as pool:
        other.execution_options(sqlite_begin="IMMEDIATE").execute(text("CREATE TABLE theirs (id INTEGER)"))
        migrating = pool.submit(flask_db, "upgrade")
        time.sleep(0.3)
        assert not migrating.done()
        other.commit()
        assert migrating.result(10).exit_code == 0
    assert state() == "current"
