"""With DATABASE_URL and REDIS_URL set and nothing else changed: the same application on PostgreSQL and Redis."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from benchmarks.load import Load
from benchmarks.servers import ROOT, WORK, environment, flask, gunicorn
from tests.leftover_tables import drop_tables_without_a_model
from tests.servers import services
from tests.servers.running import get


def test_four_machines_that_migrate_at_once_all_succeed(database_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    machines = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(tmp_path / str(number), DATABASE_URL=database_url),
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    said = [machine.communicate(timeout=60)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0] * 4, said
    assert flask(tmp_path, "db", "current", DATABASE_URL=database_url).startswith("current")
    drop_tables_without_a_model(create_engine(database_url.replace("postgres:", "postgresql+psycopg:")))
    flask(tmp_path, "db", "check", DATABASE_URL=database_url)


def test_pages_are_served_from_postgresql_and_redis(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    flask(tmp_path, "db", "upgrade", **settings)
    flask(tmp_path, "make-counters", application=WORK, **settings)
    with gunicorn(tmp_path, "-w", "2", **settings) as server:
        assert "database postgresql, cache redis" in server.output
        result = Load(server.port, "/counters/", "/counters/1", "/counters/20").run_for(2)
        assert result.failed == 0, result
        assert get(server.port, "/counters/21")[0] == 404


def test_no_update_is_lost_on_postgresql(database_url: str) -> None:
    command = [sys.executable, "-m", "benchmarks.writes", "--database", database_url]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert ": 0 lost" in completed.stdout


def test_an_outage_of_the_database_is_a_503_and_heals_by_itself(tmp_path: Path) -> None:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres() as url:
        flask(tmp_path, "db", "upgrade", DATABASE_URL=url)
    with gunicorn(tmp_path, "-w", "1", ready="/health", DATABASE_URL=url) as server:
        status, headers, page = get(server.port, "/counters/")
        assert (status, headers["retry-after"]) == (503, "5")
        assert "Traceback" not in page
        assert json.loads(get(server.port, "/ready")[2])["problems"] == ["database: does not answer"]
        assert get(server.port, "/")[0] == 200
        assert get(server.port, "/health")[0] == 200
