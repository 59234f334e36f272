"""What the doctor finds in a real PostgreSQL and in a real Redis."""

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import create_engine, text

from app.platform.doctor import code
from app.platform.doctor.registry import Finding
from tests.servers import services
from tests.servers.project import Project
from tests.unit.doctor.conftest import assert_seen, look


def sql(url: str, *statements: str) -> None:
    engine = create_engine(url.replace("postgres://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def type_in(fix: str, url: str) -> None:
    """As postgres, to the tests' server in the place of the machine's."""
    line = fix.removeprefix("sudo -u postgres psql ").replace("<database>", "")
    dsn = url.replace("postgresql+psycopg://", "postgresql://").replace("postgres://", "postgresql://")
    subprocess.run(f"psql -v ON_ERROR_STOP=1 -d '{dsn}' {line}", shell=True, check=True)  # noqa: S602 - as typed


@pytest.fixture
def plain_role(database_url: str) -> Iterator[str]:
    """A URL for a user who may do what a migration does, and no more."""
    sql(database_url, "CREATE ROLE shop LOGIN", "GRANT ALL ON SCHEMA public TO shop")
    yield database_url.replace("app@", "shop@")
    sql(database_url, "DROP OWNED BY shop", "DROP ROLE shop")


def test_a_superuser_is_found(database_url: str, plain_role: str, make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL=plain_role)
    assert look(app, "db.role").status == "OK"
    sql(database_url, "ALTER ROLE shop SUPERUSER")
    found = look(app, "db.role")
    assert_seen(found, "WARN", "shop is a superuser")
    type_in(found.fix, database_url)
    assert look(app, "db.role").status == "OK"


def test_a_role_that_may_make_no_table_is_found(
    database_url: str, plain_role: str, make_app: Callable[..., Flask]
) -> None:
    app = make_app(DATABASE_URL=plain_role)
    assert look(app, "db.writable").status == "OK"
    sql(database_url, "REVOKE CREATE ON SCHEMA public FROM shop", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    found = look(app, "db.writable")
    assert_seen(found, "FAIL", "permission denied")
    type_in(found.fix.replace("<user of DATABASE_URL>", "shop"), database_url)
    assert look(app, "db.writable").status == "OK"


def test_too_many_workers_for_the_database_are_found(database_url: str, make_app: Callable[..., Flask]) -> None:
    numbers = {(2, 2): "OK", (3, 16): "WARN", (8, 16): "FAIL"}  # of PostgreSQL's 100 connections 97 are let in
    for (workers, threads), status in numbers.items():
        app = make_app(DATABASE_URL=database_url, WORKERS=workers, THREADS=threads, JOBS="external")
        found = look(app, "db.connections")
        assert found.status == status, found
    app = make_app(DATABASE_URL=database_url, WORKERS=8, THREADS=int(found.fix.split()[0].partition("=")[2]))
    assert look(app, "db.connections").status != "FAIL"


def test_an_old_postgresql_and_one_that_is_away_are_found(
    database_url: str, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DATABASE_URL=database_url)
    assert look(app, "db.answers").status == "OK"
    monkeypatch.setattr("app.platform.doctor.databases.OLDEST_POSTGRES", 99)
    assert_seen(look(app, "db.answers"), "WARN", "not maintained")
    away = make_app(DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/app")
    found = look(away, "db.answers")
    assert_seen(found, "FAIL")
    assert "hunter2" not in found.seen + found.fix


def test_a_way_in_the_clear_is_found(
    database_url: str, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DATABASE_URL=database_url)
    assert look(app, "db.encrypted").status == "OK"
    monkeypatch.setattr("app.platform.doctor.databases.LOCAL", set())  # as if it was another machine's
    assert_seen(look(app, "db.encrypted"), "WARN")


def test_a_clock_that_differs_is_found(
    database_url: str, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DATABASE_URL=database_url)
    assert look(app, "host.clock").status == "OK"
    monkeypatch.setattr("app.platform.doctor.host.LARGEST_OFFSET", -1)
    assert_seen(look(app, "host.clock"), "WARN", "PostgreSQL")


def test_a_statement_that_outlives_its_worker_is_found(
    database_url: str, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(DATABASE_URL=database_url)
    assert look(app, "server.timeouts").status == "OK"
    monkeypatch.setitem(code._POSTGRES_LIMITS, "statement_timeout", "60s")
    assert_seen(look(app, "server.timeouts"), "WARN", "60")


def test_without_a_backup_of_ours_a_provider_may_make_them(database_url: str, make_app: Callable[..., Flask]) -> None:
    assert look(make_app(DATABASE_URL=database_url), "backup.age").status == "SKIP"


# --- Redis ---------------------------------------------------------------------------------------------


def test_a_redis_that_drops_the_wrong_keys_is_found(
    redis_url: str, make_app: Callable[..., Flask], project: Project
) -> None:
    app = make_app(REDIS_URL=redis_url)
    (project.folder / ".env").write_text(f"REDIS_URL={redis_url}\n")
    port = redis_url.rpartition(":")[2].partition("/")[0]

    def so(limit: str, policy: str) -> Finding:
        for name, value in (("maxmemory", limit), ("maxmemory-policy", policy)):
            subprocess.run(["redis-cli", "-p", port, "CONFIG", "SET", name, value], check=True)
        return look(app, "redis.memory")

    assert_seen(so("0", "noeviction"), "WARN", "as much as the machine has")  # as it comes from Debian
    assert so("100mb", "volatile-ttl").status == "OK"
    for limit, policy, seen in (
        ("0", "volatile-ttl", "as much"), ("100mb", "allkeys-lru", "counts"), ("100mb", "noeviction", "full"),
        ("0", "noeviction", "as much"),
    ):  # fmt: skip
        found = so(limit, policy)
        assert_seen(found, "WARN", seen)
        *lines, last = found.fix.splitlines()
        assert last.startswith('redis-cli -u "$url" CONFIG REWRITE')  # which takes a file, and there is none here
        # As typed in the project's folder, by whom nobody has told the setting.
        typed = ["bash", "-ec", "\n".join(lines)]
        done = subprocess.run(
            typed, cwd=project.folder, env={"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True
        )
        assert "ERR" not in done.stdout + done.stderr
        assert look(app, "redis.memory").status == "OK", (limit, policy)


def test_a_redis_that_is_away_is_found(make_app: Callable[..., Flask]) -> None:
    with services.redis_server() as server:
        app = make_app(REDIS_URL=server.url)
        assert look(app, "cache.works").status == "OK"
        server.stop()
        found = look(app, "cache.works")
    assert_seen(found, "WARN")
    assert "redis-server" in found.fix
