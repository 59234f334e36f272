"""What `flask doctor --url` says to write into .env is right once the server that runs has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT, environment, flask, gunicorn


def ask(instance: Path, identity: str, **settings: object) -> dict[str, Any]:
    """Serves with these settings, and asks that site."""
    with gunicorn(instance, application="wsgi:app", ready="/health", **settings) as server:
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor", "--json", "--only", identity]
        command += ["--url", f"http://127.0.0.1:{server.port}"]
        known = environment(instance, **settings)
        done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, Any] = json.loads(done.stdout)["findings"][0]
    return found


@pytest.mark.parametrize(
    ("identity", "settings"),
    [("live.hosts", {"TRUSTED_HOSTS": ""}), ("live.cors", {"CORS_ORIGINS": "https://evil.invalid"})],
)
def test_what_is_said_to_be_set_mends_it(identity: str, settings: dict[str, str], tmp_path: Path) -> None:
    flask(tmp_path, "db", "upgrade")
    found = ask(tmp_path, identity, WORKERS=1, **settings)
    assert found["status"] == "FAIL", found
    name, _, value = found["fix"].partition("=")
    found = ask(tmp_path, identity, WORKERS=1, **settings | {name: value})
    assert found["status"] == "OK", found
