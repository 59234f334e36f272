"""What an orchestrator is told: alive without touching anything, ready only when requests can be answered."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app.extensions import db
from app.platform import migrations
from app.platform.health import drain_mark


@pytest.mark.parametrize("path", ["/health", "/up"])
def test_alive_needs_no_database(path: str, make_app: Callable[..., Flask], tmp_path: Path) -> None:
    client = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/app.db").test_client()
    answer = client.get(path)
    assert (answer.status_code, answer.get_json()) == (200, {"status": "alive"})
    assert client.get("/ready").status_code == 503


def test_ready_says_which_version_answers(client: FlaskClient) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 200
    said = answer.get_json()
    assert said.pop("version")
    assert said == {"status": "ready", "problems": [], "warnings": []}


@pytest.fixture
def migrated_client(client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A code with one migration, however many this application has, and a database that has it too."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions/first.py").write_text('revision = "f1"\n')
    monkeypatch.setattr(migrations, "FOLDER", tmp_path)
    with client.application.app_context(), db.engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
        connection.execute(text("CREATE TABLE alembic_version AS SELECT 'f1' AS version_num"))
    assert client.get("/ready").get_json()["warnings"] == []
    return client


@pytest.mark.parametrize(
    ("statement", "status", "problems", "warnings"),
    [
        ("DROP TABLE alembic_version", 503, ["database: behind the code, run `flask db upgrade`"], []),
        ("DELETE FROM alembic_version", 503, ["database: behind the code, run `flask db upgrade`"], []),
        (
            "UPDATE alembic_version SET version_num = 'f00'",
            200,
            [],
            ["database: newer than the code, as after a rollback"],
        ),
    ],
)
def test_ready_compares_the_database_with_the_code(
    statement: str, status: int, problems: list[str], warnings: list[str], migrated_client: FlaskClient
) -> None:
    with migrated_client.application.app_context(), db.engine.begin() as connection:
        connection.execute(text(statement))
    answer = migrated_client.get("/ready")
    said = answer.get_json()
    assert (answer.status_code, said["problems"], said["warnings"]) == (status, problems, warnings)
    assert said["status"] == ("ready" if status == 200 else "unavailable")


def test_a_database_that_does_not_answer_is_said_and_its_address_is_not(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    answer = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/app.db").test_client().get("/ready")
    assert answer.get_json()["problems"] == ["database: does not answer"]
    assert "nowhere" not in answer.text


@pytest.mark.parametrize("pid", [os.getpid(), os.getppid()], ids=["the process", "its parent"])
def test_a_server_that_is_about_to_stop_asks_for_no_more_traffic(pid: int, client: FlaskClient) -> None:
    mark = drain_mark(Path(client.application.instance_path), pid)
    mark.touch()
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()["problems"]) == (503, ["draining: this server is about to stop"])
    assert client.get("/health").status_code == 200
    mark.unlink()
    assert client.get("/ready").status_code == 200


def test_another_servers_mark_changes_nothing(client: FlaskClient) -> None:
    drain_mark(Path(client.application.instance_path), 1_000_000_000).touch()
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/up", "/ready"])
def test_a_probe_is_answered_for_any_host_without_a_log_line(
    path: str, make_app: Callable[..., Flask], capfd: pytest.CaptureFixture[str]
) -> None:
    client = make_app(TRUSTED_HOSTS=("www.example.com",), LOG_LEVEL="INFO").test_client()
    answer = client.get(path, headers={"Host": "10.0.0.7:8080"}, buffered=True)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("path", ["/health", "/up", "/ready", "/metrics"])
def test_a_probe_answers_head_without_a_body_and_nothing_else(path: str, client: FlaskClient) -> None:
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert int(head.headers["Content-Length"]) > 10
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"):
        assert client.open(path, method=method).status_code == 405
