"""Checks of the database, of SQLite, of the cache, of backups; PostgreSQL's and Redis' are in tests/servers/doctor."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event

from app.extensions import cache, db
from app.platform import limits
from tests.unit.doctor.conftest import assert_seen, look

Usage = namedtuple("Usage", "total used free")


def database(app: Flask) -> Path:
    return Path(app.extensions["settings"].INSTANCE_PATH, "app.db")


def test_a_database_that_does_not_answer_is_found(app: Flask, make_app: Callable[..., Flask]) -> None:
    assert look(app, "db.answers").status == "OK"
    broken = make_app(DATABASE_URL="sqlite:////nowhere/at/all/app.db")
    assert_seen(look(broken, "db.answers"), "FAIL", "unable to open")


def test_a_database_that_is_slow_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.platform.doctor.databases.SLOWEST", -1)
    assert_seen(look(app, "db.answers"), "WARN")


def test_a_server_that_nobody_maintains_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if SQLite was such a PostgreSQL; a real one is asked in tests/servers/doctor."""
    monkeypatch.setattr("app.platform.doctor.databases.is_postgres", lambda: True)
    monkeypatch.setattr("app.platform.doctor.databases.OLDEST_POSTGRES", 99)
    assert_seen(look(app, "db.answers"), "WARN", "not maintained")


@pytest.mark.parametrize(
    ("url", "is_far"),
    [
        ("postgresql:///app", False),
        ("postgresql://localhost/app", False),
        ("postgresql://me:word@/app?host=/run/postgresql", False),
        ("postgresql://far.example/app?host=/run/postgresql", False),
        ("postgresql://far.example/app?hostaddr=127.0.0.1", False),
        ("postgresql://far.example/app", True),
        ("postgresql://me:word@/app?host=far.example", True),
        ("postgresql:///app?host=/run/postgresql&host=far.example", True),
        ("postgresql:///app?host=localhost,far.example", True),
        ("postgresql://localhost/app?hostaddr=192.0.2.1", True),
    ],
)
def test_a_database_that_the_query_of_its_url_puts_elsewhere_is_not_taken_for_this_machines(
    url: str, is_far: bool, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DATABASE_URL=url)
    with app.app_context():
        monkeypatch.setattr(db.session, "scalar", lambda _: False)  # its answer: the way to it is not encrypted
    found = look(app, "db.encrypted")
    if is_far:
        assert_seen(found, "WARN", "not")
        assert "far.example/app?" in found.fix or "192.0.2.1/app?" in found.fix
    else:
        assert found.status == "OK"


def test_a_database_that_can_only_be_read_is_found_and_nothing_stays_in_a_good_one(app: Flask) -> None:
    with sqlite3.connect(database(app)) as connection:
        before = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        assert look(app, "db.writable").status == "OK"
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == before

    with app.app_context():

        @event.listens_for(db.engine, "connect")
        def only_read(connection: sqlite3.Connection, _: object) -> None:
            connection.execute("PRAGMA query_only=ON")

        db.engine.dispose()
    assert_seen(look(app, "db.writable"), "FAIL", "readonly")


def test_a_database_that_somebody_else_writes_to_is_no_fault(app: Flask) -> None:
    connection = sqlite3.connect(database(app), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert look(app, "db.writable").status == "SKIP"
    finally:
        connection.close()


def test_a_database_behind_or_ahead_of_the_code_is_found(app: Flask) -> None:
    assert look(app, "db.migrations").status == "OK"
    with sqlite3.connect(database(app)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert_seen(look(app, "db.migrations"), "WARN", "newer")
    with sqlite3.connect(database(app)) as connection:
        connection.execute("DELETE FROM alembic_version")
    found = look(app, "db.migrations")
    assert_seen(found, "FAIL", "behind")
    assert found.fix.endswith("db upgrade")


def test_two_newest_migrations_are_found(app: Flask, root: Path) -> None:
    versions = root / "migrations/versions"
    versions.mkdir(parents=True)
    (versions / "a.py").write_text('revision = "aaa"\ndown_revision = None\n')
    assert look(app, "db.heads", root=root).status == "OK"
    (root / "migrations").rename(root / "before")
    versions = root / "second/migrations/versions"
    versions.mkdir(parents=True)
    (versions / "a.py").write_text('revision = "aaa"\ndown_revision = None\n')
    (versions / "b.py").write_text('revision = "bbb"\ndown_revision = None\n')
    assert_seen(look(app, "db.heads", root=root / "second"), "FAIL", "aaa, bbb")


def test_a_column_that_no_migration_makes_is_found_and_a_table_of_nobody_is_not(app: Flask) -> None:
    assert look(app, "db.drift").status == "OK"
    with sqlite3.connect(database(app)) as connection:
        connection.execute("CREATE TABLE of_a_feature_that_was_deleted (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("CREATE INDEX of_its_own ON of_a_feature_that_was_deleted (name)")
    assert look(app, "db.drift").status == "OK"
    tries = limits.Try.__tablename__  # also where nothing else uses it
    with sqlite3.connect(database(app)) as connection:
        connection.execute(f"ALTER TABLE {tries} RENAME COLUMN expires TO ends")
    assert_seen(look(app, "db.drift"), "WARN", "add_column")


@pytest.mark.parametrize("pragma", ["journal_mode=DELETE", "foreign_keys=OFF", "busy_timeout=100"])
def test_an_sqlite_that_is_opened_without_care_is_found(pragma: str, app: Flask) -> None:
    assert look(app, "sqlite.pragmas").status == "OK"
    with app.app_context():

        @event.listens_for(db.engine, "connect")
        def spoil(connection: sqlite3.Connection, _: object) -> None:
            connection.execute(f"PRAGMA {pragma}")

        db.engine.dispose()
    assert_seen(look(app, "sqlite.pragmas"), "FAIL", pragma.partition("=")[0])


def test_an_sqlite_on_a_network_is_found(app: Flask, machine: Path) -> None:
    folder = app.extensions["settings"].INSTANCE_PATH
    (machine / "proc").mkdir()
    mounts = machine / "proc/mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {folder} nfs4 rw 0 0\n")
    assert_seen(look(app, "sqlite.place", machine=machine), "FAIL", "nfs4")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {folder}-other nfs4 rw 0 0\n")
    assert look(app, "sqlite.place", machine=machine).status == "OK"
    mounts.unlink()
    assert look(app, "sqlite.place", machine=machine).status == "SKIP"


def test_an_sqlite_without_room_beside_it_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(app, "sqlite.room").status == "OK"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 0, 1000))
    assert_seen(look(app, "sqlite.room"), "WARN")


# --- cache, backups, metrics -------------------------------------------------------------------------


def test_a_cache_of_one_process_is_found(app: Flask) -> None:
    assert look(app, "cache.shared").status == "OK"
    cache.init_app(app, {"CACHE_TYPE": "SimpleCache"})
    assert_seen(look(app, "cache.shared"), "FAIL", "SimpleCache")


def test_a_cache_whose_store_fails_is_found(app: Flask) -> None:
    assert look(app, "cache.works").status == "OK"
    file = app.extensions["settings"].INSTANCE_PATH / "cache.db"
    with app.app_context():
        cache.cache._local.connection = None
    for path in file.parent.glob("cache.db*"):
        path.unlink()
    file.mkdir()
    found = look(app, "cache.works")
    assert_seen(found, "WARN")
    subprocess.run(found.fix, shell=True, check=True)  # noqa: S602 - what a user would type
    assert look(app, "cache.works").status == "OK"


@pytest.mark.parametrize(("hours", "status"), [(200, "FAIL"), (30, "WARN"), (5, "OK")])
def test_an_old_backup_is_found(hours: int, status: str, make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(BACKUP_FOLDER=tmp_path / "backups")
    assert_seen(look(app, "backup.age"), "WARN", "none")
    (tmp_path / "backups").mkdir()
    file = tmp_path / "backups/a.tar.gz"
    file.touch()
    os.utime(file, (time.time() - hours * 3600,) * 2)
    found = look(app, "backup.age")
    assert found.status == status, found


def test_a_number_that_can_not_be_read_is_found(app: Flask) -> None:
    assert look(app, "metrics.readable").status == "OK"
    app.extensions["collectors"].append(lambda: 1 / 0)
    assert_seen(look(app, "metrics.readable"), "WARN", "division")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("redis://cache.internal:6379/0", "FAIL"),
        ("redis://:hunter2@cache.internal:6379/0", "WARN"),
        ("rediss://:hunter2@cache.internal:6379/0", "OK"),
        ("redis://127.0.0.1:6379/0", "OK"),
    ],
)
def test_a_redis_that_is_open_is_found(url: str, status: str, make_app: Callable[..., Flask]) -> None:
    found = look(make_app(REDIS_URL=url), "redis.safe")
    assert found.status == status
    assert "hunter2" not in found.seen + found.fix
