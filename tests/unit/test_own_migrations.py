"""The migrations of this application: down and up again, on several servers at once, and equal to the models."""

from pathlib import Path

from flask import Flask
from sqlalchemy import inspect

from app import create_app
from app.extensions import db
from app.platform import migrations
from config import TestingConfig
from tests.leftover_tables import drop_tables_without_a_model
from tests.unit.processes import in_processes


def tables(app: Flask) -> set[str]:
    with app.app_context():
        return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_all_go_down_and_up_again(app: Flask) -> None:
    before, run = tables(app), app.test_cli_runner().invoke
    assert run(args=["db", "downgrade", "base"]).exit_code == 0
    assert tables(app) == set()
    assert run(args=["db", "upgrade"]).exit_code == 0
    assert tables(app) == before >= set(db.metadata.tables)


def test_models_and_migrations_agree(app: Flask) -> None:
    with app.app_context():
        drop_tables_without_a_model(db.engine)
    checked = app.test_cli_runner().invoke(args=["db", "check"])
    assert checked.exit_code == 0, checked.output


def upgrade(folder: Path) -> tuple[int, str]:
    app = create_app(TestingConfig(INSTANCE_PATH=folder, DATABASE_URL="sqlite:///app.db"))
    result = app.test_cli_runner().invoke(args=["db", "upgrade"])
    return result.exit_code, result.output


def test_servers_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    results = in_processes(4, upgrade, tmp_path)
    assert [code for code, _ in results] == [0, 0, 0, 0], results
    assert {output for _, output in results} <= {"Database migrated.\n", "Database up to date.\n"}
    app = create_app(TestingConfig(INSTANCE_PATH=tmp_path, DATABASE_URL="sqlite:///app.db"))
    with app.app_context(), db.engine.connect() as connection:
        assert migrations.state(connection) == "current"
