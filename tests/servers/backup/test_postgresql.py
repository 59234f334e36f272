"""`flask backup` and `flask restore` with PostgreSQL: its programs, its rights, its server that goes on."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from benchmarks.servers import ROOT, environment, flask
from tests.servers.backup.test_backup import run
from tests.servers.running import wait_until


@pytest.fixture(scope="module")
def engine(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    flask(tmp_path_factory.mktemp("migrated"), "db", "upgrade", DATABASE_URL=database_url)
    engine = create_engine(database_url.replace("postgres:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def settings(engine: Engine, database_url: str) -> dict[str, str]:
    """With one row in the database."""
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM tries; INSERT INTO tries VALUES ('early', 'x', 1)"))
    return {"DATABASE_URL": database_url}


def keys(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT key FROM tries ORDER BY key")).scalars())


def databases(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT datname FROM pg_database")).scalars())


def program(folder: Path, name: str, script: str) -> str:
    """A PATH on which a script stands before the real program of this name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_backups_under_write_load_are_whole_and_of_one_moment(engine: Engine, database_url: str) -> None:
    command = [sys.executable, "-m", "benchmarks.backup.under_load", "--backups", "2", "--megabytes", "10"]
    command += ["--database", database_url]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    with engine.connect() as connection:
        connection.execute(text("DROP TABLE benchmark_entries, benchmark_ballast"))


def test_a_restore_brings_back_the_rows_and_takes_later_tables_away(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    assert run(tmp_path, "backup", tmp_path / "b.tar.gz", **settings).returncode == 0
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO tries VALUES ('late', 'x', 1)"))
        connection.execute(text("CREATE TABLE later (id bigint REFERENCES users (id))"))
    refused = run(tmp_path, "restore", tmp_path / "b.tar.gz", **settings)
    assert (refused.returncode, keys(engine)) == (2, ["early", "late"])
    restored = run(tmp_path, "restore", "--force", tmp_path / "b.tar.gz", **settings)
    assert restored.returncode == 0, restored.stderr
    assert keys(engine) == ["early"]
    flask(tmp_path, "db", "check", **settings)
    (kept,) = tmp_path.glob("backups/before-restore-*.tar.gz")
    assert run(tmp_path, "restore", "--force", kept, **settings).returncode == 0
    assert keys(engine) == ["early", "late"]
    with engine.connect() as connection:
        connection.execute(text("DROP TABLE later"))


def test_programs_of_17_serve_an_older_server(engine: Engine, settings: dict[str, str], tmp_path: Path) -> None:
    newer = """
        for option; do case $option in --file=*) script=${option#--file=} ;; --list) list=yes ;; esac; done
        real() { PATH=${PATH#*:} pg_restore "$@"; }
        [ -z "$list" ] || { real "$@"; exit; }
        [ "$script" ] || { echo 'unrecognized configuration parameter "transaction_timeout"' >&2; exit 1; }
        real "$@" && sed -i '0,/^SET lock_timeout/s//SET transaction_timeout = 0;\\n&/' "$script"
    """
    path = program(tmp_path / "programs", "pg_restore", newer)
    made = run(tmp_path, "backup", tmp_path / "b.tar.gz", PATH=path, **settings)
    assert made.returncode == 0, made.stderr
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO tries VALUES ('late', 'x', 1)"))
    restored = run(tmp_path, "restore", "--force", tmp_path / "b.tar.gz", PATH=path, **settings)
    assert restored.returncode == 0, restored.stderr
    assert keys(engine) == ["early"]


def test_a_restore_that_fails_half_way_leaves_the_database_as_it_was(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    assert run(tmp_path, "backup", tmp_path / "b.tar.gz", **settings).returncode == 0
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO tries VALUES ('late', 'x', 1)"))
        # Nothing that a table's removal takes along, and in the way of a table of the backup.
        connection.execute(text("CREATE VIEW in_the_way AS SELECT 1; ALTER TABLE tokens RENAME TO tokens_as_they_were"))
        connection.execute(text("ALTER VIEW in_the_way RENAME TO tokens"))
    try:
        failed = run(tmp_path, "restore", "--force", tmp_path / "b.tar.gz", **settings)
        assert failed.returncode == 2
        (kept,) = tmp_path.glob("backups/before-restore-*.tar.gz")
        as_it_was = "The database is as it was; uploads may have been added.\n"
        assert failed.stderr.endswith(f"{kept} is complete. {as_it_was}")
        assert keys(engine) == ["early", "late"]
    finally:
        with engine.connect() as connection:
            connection.execute(text("DROP VIEW tokens; ALTER TABLE tokens_as_they_were RENAME TO tokens"))


def test_a_role_that_may_make_no_database_gets_a_backup_and_a_warning(
    engine: Engine, settings: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE ROLE poor LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO poor"))
        connection.execute(text("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO poor"))
    made = run(tmp_path, "backup", tmp_path / "b.tar.gz", DATABASE_URL=database_url.replace("app@", "poor@"))
    assert made.returncode == 1, made.stderr
    assert "It was not restored for a trial: this role may not create databases" in made.stderr
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        assert json.load(tar.extractfile("manifest.json"))["rows"]["tries"] == 1  # type: ignore[arg-type]


def test_a_password_is_on_no_command_line(settings: dict[str, str], database_url: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    path = program(
        tmp_path / "bin", "pg_dump", f'echo "$@" >{seen}; echo "$PGPASSWORD" >>{seen}; exec /usr/bin/pg_dump "$@"'
    )
    url = database_url.replace("app@", "app:p%40ss%2Fw%3Ard@")
    assert run(tmp_path, "backup", tmp_path / "b.tar.gz", DATABASE_URL=url, PATH=path).returncode == 0
    arguments, password = seen.read_text().splitlines()
    assert (password, "p%40ss" in arguments, "p@ss" in arguments) == ("p@ss/w:rd", False, False)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            'echo "pg_dump: error: aborting because of server version mismatch" >&2; exit 1',
            "not be older than the server",
        ),
        (None, "pg_dump is not installed (Debian: apt-get install postgresql-client)"),
    ],
    ids=["too old", "missing"],
)
def test_without_the_right_program_there_is_one_clear_line(
    settings: dict[str, str], tmp_path: Path, script: str | None, reason: str
) -> None:
    path = program(tmp_path / "bin", "pg_dump", script) if script else str(tmp_path)
    failed = run(tmp_path, "backup", tmp_path / "b.tar.gz", PATH=path, **settings)
    assert failed.returncode == 2
    assert reason in failed.stderr
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_backup_that_is_ended_leaves_no_scratch_database_and_no_draft(
    engine: Engine, settings: dict[str, str], tmp_path: Path
) -> None:
    path = program(tmp_path / "bin", "pg_restore", "sleep 1 & wait")
    target, before = tmp_path / "backups" / "b.tar.gz", databases(engine)
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "backup", str(target)]
    values = environment(tmp_path, PATH=path, **settings)
    process = subprocess.Popen(command, cwd=ROOT, env=values, stderr=subprocess.DEVNULL)
    wait_until(lambda: databases(engine) - before, 20)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 2
    assert databases(engine) == before
    assert list(target.parent.iterdir()) == []


def test_a_database_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    failed = run(tmp_path, "backup", DATABASE_URL="postgresql://app@127.0.0.1:1/none")
    assert (failed.returncode, "Connection refused" in failed.stderr) == (2, True)
    assert "Traceback" not in failed.stderr
