"""The packages come with the setting: the scripts install them, and .env is as good as the environment."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment, flask
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, wait_until
from tests.servers.tracing.conftest import Collector


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scripts, and a requirements.txt of little."""
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/project.sh", "scripts/pip_index.py", "requirements-otel.txt", "requirements-sentry.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    lines = (ROOT / "requirements.txt").read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("click=="))
    end = next(number for number in range(start + 1, len(lines)) if not lines[number].startswith(" "))
    (tmp_path / "requirements.txt").write_text("".join(lines[start:end]))
    return tmp_path


def script(folder: Path, code: str, **variables: str) -> str:
    command = ["bash", "-euc", f"set -o pipefail; self=scripts/x.sh; . scripts/project.sh; {code}"]
    env = environment(folder) | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"} | variables
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("line", "locks"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "requirements-otel.txt"),
        (" export SENTRY_DSN = 'https://key@sentry.example/1'", "requirements-sentry.txt"),
        ("# SENTRY_DSN=https://key@sentry.example/1", ""),
        ("SENTRY_DSN=", ""),
        ("SENTRY_DSN=''", ""),
        ("SW_AGENT_COLLECTOR_BACKEND_SERVICES=oap:11800", ""),  # the extra is deleted, and its file with it
    ],
)
def test_what_env_asks_for_is_what_is_installed(line: str, locks: str, folder: Path) -> None:
    (folder / ".env").write_text(f"PORT=8080\n{line}\n")
    assert script(folder, "extra_locks") == locks


@pytest.mark.parametrize(
    ("name", "text", "locks"), [("SENTRY_DSN", "x", True), ("sentry_dsn", "x", True), ("sentry_dsn", "", False)]
)
def test_what_a_secret_file_asks_for_is_installed_too(name: str, text: str, locks: bool, folder: Path) -> None:
    secrets = folder / "run secrets"
    secrets.mkdir()
    (folder / "elsewhere").write_text(text)
    (secrets / name).symlink_to(folder / "elsewhere")  # as Kubernetes shows them
    found = script(folder, f"SECRETS='{secrets}'; extra_locks")
    assert found == ("requirements-sentry.txt" if locks else "")


def test_an_environment_gets_the_packages_when_the_setting_appears(folder: Path) -> None:
    script(folder, "ensure_environment requirements.txt")
    script(folder, "environment_is_current requirements.txt")
    script(folder, "! environment_is_current requirements.txt", SENTRY_DSN="https://key@sentry.example/1")
    (folder / ".env").write_text("SENTRY_DSN=https://key@sentry.example/1\n")
    script(folder, "ensure_environment requirements.txt; environment_is_current requirements.txt")
    assert script(folder, ".venv/bin/python -c 'import sentry_sdk, click; print(7)'") == "7"


def test_what_only_env_says_is_traced(
    collector: Callable[..., Collector], packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    receiver = collector("otlp", "otel")
    project, port = Project(tmp_path / "project"), free_port()
    (project.folder / ".env").write_text(f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{receiver.port}/\n")
    instance = tmp_path / "instance"
    flask(instance, "db", "upgrade")
    command = [str(Path(sys.executable).with_name("gunicorn")), "--bind", f"127.0.0.1:{port}", "wsgi:app"]
    env = environment(instance, PYTHONPATH=packages_of("otel"), WORKERS=1)
    server = Running(command, cwd=project.folder, env=env)
    try:
        server.line_with("Gunicorn with 1")
        wait_until(lambda: get(port, "/ready")[0] == 200, 30)
        assert get(port, "/no-such-page")[0] == 404
        receiver.wait_for(lambda span: span["attributes"].get("url.path") == "/no-such-page")
    finally:
        server.kill()
