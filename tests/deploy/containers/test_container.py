"""One container, as `docker run` starts it."""

import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.containers.conftest import Figure
from tests.deploy.containers.engine import Engine
from tests.deploy.containers.running import Container, container, seconds_until_healthy, small_machine
from tests.servers.running import wait_until

pytestmark = pytest.mark.timeout(600)
HEALTHY = 5.0  # seconds
LOAD = 20.0  # seconds; benchmarks/containers.py does it for 60


@pytest.fixture(scope="module")
def running(docker: Engine, image: str) -> Iterator[Container]:
    with container(docker, image) as started:
        started.wait_for_health()
        yield started


def test_it_is_healthy_within_5_seconds(docker: Engine, image: str, figure: Figure) -> None:
    fastest = 60.0
    for _ in range(4):  # on a machine that does other things, too, the fastest says most
        fastest = min(fastest, seconds_until_healthy(docker, image))
        if fastest <= HEALTHY:
            break
    figure(f"healthy after {fastest:.1f} s")
    assert fastest <= HEALTHY


def test_gunicorn_is_process_1_and_nobody(running: Container) -> None:
    command = running.run("cat", "/proc/1/cmdline").split("\0")
    assert command[1:3] == ["/venv/bin/gunicorn", "wsgi:app"]
    status = running.run("cat", "/proc/1/status")
    assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_it_serves_with_its_root_read_only(running: Container) -> None:
    assert running.docker.docker("exec", running.name, "touch", "/app/x", check=False).returncode != 0
    assert [running.get(path)[0] for path in ("/", "/ready", "/health")] == [200, 200, 200]


def test_a_backup_is_made_inside_and_fetched(running: Container, tmp_path: Path) -> None:
    """By the commands of docs/containers.md."""
    running.run("flask", "--app", "wsgi", "backup")
    running.docker.docker("cp", f"{running.name}:/data/backups", str(tmp_path))
    (archive,) = (tmp_path / "backups").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        assert "database.sqlite3" in opened.getnames()


def test_it_listens_where_PORT_says(docker: Engine, image: str) -> None:  # noqa: N802
    with container(docker, image, "-e", "PORT=9000", port=9000) as started:
        started.wait_for_health()  # so the check asks there, too
        assert started.get("/")[0] == 200


def test_a_container_that_does_not_answer_is_not_healthy(docker: Engine, image: str) -> None:
    with container(docker, image, "--health-retries=1", command=("sleep", "60")) as started:
        wait_until(lambda: started.state["Health"]["Status"] == "unhealthy", 30, started.log)


def test_sigterm_during_a_slow_request_answers_it_and_ends_with_0(docker: Engine, image: str) -> None:
    with container(docker, image) as started:
        started.wait_for_health()
        answers: list[tuple[int, str]] = []
        visitor = threading.Thread(target=lambda: answers.append(started.get("/wait/3000", timeout=30)))
        visitor.start()
        wait_until(started.has_a_visitor, 10)
        docker.docker("stop", "--time=40", started.name)
        visitor.join(40)
        assert answers == [(200, "waited")]
        assert started.state["ExitCode"] == 0


def test_half_a_cpu_and_256_mb_carry_a_load(docker: Engine, image: str, figure: Figure) -> None:
    workers, restarts, result = small_machine(docker, image, LOAD)
    figure(f"0.5 CPU, 256 MB, {workers} workers: {result}")
    assert workers in {1, 2}
    assert restarts == []
    assert result.failed == 0, result.failures
    assert result.answered > LOAD


def test_a_database_that_does_not_answer_is_said_at_once(docker: Engine, image: str) -> None:
    with container(docker, image, "-e", "DATABASE_URL=postgresql://x@127.0.0.1:1/x") as started:
        wait_until(lambda: started.state["Status"] == "exited", 30, started.log)
        assert started.state["ExitCode"] == 1
        assert "The database does not answer" in started.log()
