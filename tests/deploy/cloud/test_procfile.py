"""Heroku: the processes of the Procfile, by honcho, which reads it as Heroku does."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from config import ROOT
from tests.deploy import rendering
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, wait_until


@pytest.fixture
def honcho(bundle: Project) -> list[str]:
    rendering.remember("Procfile", bundle.folder / "Procfile")
    return [f"{bundle.folder}/.venv/bin/honcho"]


def test_a_release_is_prepared_then_web_and_worker_serve_and_end_without_losing_a_request(
    bundle: Project, settings: dict[str, str], honcho: list[str]
) -> None:
    command = [*honcho, "start", "release"]
    done = {"env": settings, "cwd": bundle.folder, "timeout": 60, "check": False, "text": True}
    release = subprocess.run(command, capture_output=True, **done)  # type: ignore[call-overload]
    assert "(rc=0)" in release.stdout, release.stdout
    port = free_port()
    formation = [*honcho, "start", "--port", str(port), "web", "worker"]
    running = Running(formation, cwd=bundle.folder, env=settings | {"JOBS": "external", "TRUSTED_PROXIES": "1"})
    try:
        wait_until(lambda: "does jobs" in running.output and answers(port), 40, lambda: running.output)
        assert get(port, "/ready")[0] == 200
        late: list[int] = []
        visitor = threading.Thread(target=lambda: late.append(get(port, "/wait/2000")[0]))
        visitor.start()
        time.sleep(0.5)  # it is being answered
        running.process.terminate()  # to all processes, as Heroku does
        visitor.join()
        running.end()
        assert late == [200], running.output
        assert "SIGKILL" not in running.output
        assert all(f"{name}.1 stopped" in running.output for name in ("web", "worker"))
    finally:
        if running.process.poll() is None:
            running.process.terminate()  # honcho ends what it has started, which a kill would not
            running.end()


def answers(port: int) -> bool:
    try:
        return get(port, "/health")[0] == 200
    except OSError:
        return False


def test_the_time_outs_fit_what_heroku_does() -> None:
    (web,) = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
    assert int(re.findall(r"--keep-alive (\d+)", web)[0]) > 90  # its router's, which must be the one that closes
    assert int(re.findall(r"--graceful-timeout (\d+)", web)[0]) < 30  # when it kills


def test_heroku_is_told_the_python_of_the_image() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    assert f"ARG PYTHON={version}-slim" in (ROOT / "Dockerfile").read_text()


def test_the_file_for_heroku_hides_no_python_of_pyenvs_from_the_scripts(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    pyenv = "[ -e .python-version ] && echo 3.13-not-here || echo 3.12"
    shim = f'[ "${{PYENV_VERSION:-$(pyenv version-name)}}" = 3.12 ] || exit 127\nexec {sys.executable} "$@"'
    for name, text in {"pyenv": pyenv, "python3.14": shim}.items():
        (shims / name).write_text(f"#!/bin/sh\n{text}\n")
        (shims / name).chmod(0o755)
    found = subprocess.run(
        ["bash", "-ec", "self=x; . scripts/project.sh; find_python"],
        cwd=ROOT, env={"PATH": f"{shims}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert found.stdout.strip() == f"{shims}/python3.14", found.stderr
