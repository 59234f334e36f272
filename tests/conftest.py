"""An application for each test, with an instance folder and a migrated database of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from werkzeug.routing import Rule

from app import create_app
from app.extensions import db
from config import Config, TestingConfig

pytest_plugins = ["tests.doctor_record"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="a skipped test is a failure")
    parser.addoption("--deploy", action="store_true", help="said by scripts/test.sh --deploy; as --all")
    parser.addoption("--fast", action="store_true", help="said by scripts/test.sh --fast; changes nothing here")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    strict = session.config.getoption("--all") or session.config.getoption("--deploy")
    if strict and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file made by the real migrations, once; each test gets a copy."""
    folder = tmp_path_factory.mktemp("migrated")
    app = create_app(TestingConfig(INSTANCE_PATH=folder, DATABASE_URL="sqlite:///app.db"))
    result = app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert result.exit_code == 0, result.output
    with app.app_context():
        db.engine.dispose()
    return folder / "app.db"


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates are compiled once and not for each test's application: a quarter of the time of all tests."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session", autouse=True)
def _compiled_rules() -> Iterator[None]:
    """Werkzeug compiles a function of each rule for each application: half of the time that making one takes."""
    compile_builder, compiled = Rule._compile_builder, {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Any:
        key = (rule.rule, append_unknown, tuple(rule._trace), repr(rule.defaults))
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        yield


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the applications of all tests publish their static files: the names tell contents apart."""
    return tmp_path_factory.mktemp("static")


@pytest.fixture
def make_app(
    tmp_path: Path, migrated: Path, published: Path, compiled_templates: FileSystemBytecodeCache
) -> Iterator[Callable[..., Flask]]:
    """`make_app(TRUSTED_PROXIES=1)`: an application with these settings."""
    made: list[Flask] = []

    def make(settings_class: type[Config] = TestingConfig, **settings: Any) -> Flask:
        folder = tmp_path / f"instance-{len(made)}"
        folder.mkdir()
        shutil.copy(migrated, folder / "app.db")
        if not settings_class.DEBUG:
            (folder / "static").symlink_to(published)
        app = create_app(settings_class(INSTANCE_PATH=folder, **{"DATABASE_URL": "sqlite:///app.db"} | settings))
        app.jinja_env.bytecode_cache = compiled_templates
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
