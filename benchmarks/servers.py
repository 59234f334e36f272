"""Real servers for the benchmarks and the server tests, each with an instance folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.running import Running, free_port, get, wait_until

ROOT = Path(__file__).resolve().parents[1]
WORK = "benchmarks.work:app"  # the application with pages that wait, compute and count


def environment(instance: Path, **settings: object) -> dict[str, str]:
    known = {"PATH", "HOME", "LANG", "SYSTEMROOT"}
    kept = {name: value for name, value in os.environ.items() if name in known or name.startswith("COV")}
    kept |= {"INSTANCE_PATH": str(instance), "TMPDIR": str(instance)}
    kept |= {"JOBS": "off"}  # a process for them only where that is what is looked at
    return kept | {name: str(value) for name, value in settings.items()}


def flask(instance: Path, *arguments: str, application: str = "wsgi", **settings: object) -> str:
    """Runs `flask …` in the project; raises CalledProcessError with its output."""
    completed = subprocess.run(
        [sys.executable, "-m", "flask", "--app", application, *arguments],
        cwd=ROOT,
        env=environment(instance, **settings),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if completed.returncode:
        raise RuntimeError(f"flask {' '.join(arguments)}: {completed.stderr[-2000:]}")
    return completed.stdout


@contextmanager
def gunicorn(
    instance: Path, *options: str, application: str = WORK, ready: str = "/ready", **settings: object
) -> Iterator[Running]:
    """Gunicorn on a free port (`server.port`), with the project's gunicorn.conf.py."""
    port = free_port()
    binary = Path(sys.executable).with_name("gunicorn")
    command = [str(binary), "--bind", f"127.0.0.1:{port}", *options, application]
    with running(command, instance, port, ready, **settings) as server:
        yield server


@contextmanager
def waitress(instance: Path, processes: int, application: str = WORK, **settings: object) -> Iterator[Running]:
    """The processes that `python wsgi.py` starts."""
    port = free_port()
    code = "import sys; from serving.waitress_server import serve; "
    code += f"sys.exit(serve({application!r}, host='127.0.0.1', port={port}, processes={processes}, threads=16))"
    with running([sys.executable, "-c", code], instance, port, "/ready", **settings) as server:
        yield server


@contextmanager
def running(command: list[str], instance: Path, port: int, ready: str, **settings: object) -> Iterator[Running]:
    server = Running(command, cwd=ROOT, env=environment(instance, **settings))
    server.port = port
    try:
        wait_until(lambda: _answers(server, ready), 40, lambda: server.output)
        yield server
    finally:
        server.kill()


def _answers(server: Running, path: str) -> bool:
    assert server.process.poll() is None, f"the server ended: {server.output}"
    try:
        return get(server.port, path, 5)[0] == 200
    except OSError:
        return False
