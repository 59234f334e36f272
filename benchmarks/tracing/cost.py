"""What tracing costs a request: CPU time of a page with one statement, of two applications of one process in turns.

Its packages in a folder of their own, for each of otel, skywalking and sentry:

    .venv/bin/pip install --require-hashes --target /tmp/otel -r requirements-otel.txt
    PYTHONPATH=/tmp/otel .venv/bin/python -m benchmarks.tracing.cost otel
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import text

from app import create_app
from app.extensions import db
from benchmarks.servers import ROOT
from config import TestingConfig
from tests.servers.running import Running, free_port

# The collector of the tests that understands it, and the setting.
BACKENDS = {
    "otel": ("otlp", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:{port}"),
    "skywalking": ("skywalking", "SW_AGENT_COLLECTOR_BACKEND_SERVICES", "127.0.0.1:{port}"),
    "sentry": ("sentry", "SENTRY_DSN", "http://key@127.0.0.1:{port}/1"),
}
REQUESTS, ROUNDS = 300, 25


def make(folder: Path, **settings: Any) -> Flask:
    database = f"sqlite:///{folder}/app.db"
    app = create_app(TestingConfig(INSTANCE_PATH=folder, DATABASE_URL=database, LOG_LEVEL="ERROR", **settings))
    app.add_url_rule("/one", view_func=lambda: str(db.session.scalar(text("SELECT 1"))))
    return app


def microseconds(app: Flask, clock: Callable[[], float]) -> float:
    client = app.test_client()
    started = clock()
    for _ in range(REQUESTS):
        client.get("/one", buffered=True)  # which closes the answer, as a server does: spans end then
    return (clock() - started) / REQUESTS * 1e6


def compare(folder: Path, **settings: Any) -> dict[str, tuple[float, float]]:
    """Of an application without and of one with the settings: medians of the request's thread, and of the process."""
    apps = {"off": make(folder), "on": make(folder, **settings)}
    if not apps["on"].extensions.get("around_job"):
        sys.exit("Nothing is traced: the reason is above.")
    for app in apps.values():
        microseconds(app, time.thread_time)  # caches are filled, exporters begin
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
    for number in range(ROUNDS):
        for name in ("off", "on") if number % 2 else ("on", "off"):
            process = time.process_time()
            own = microseconds(apps[name], time.thread_time)
            found[name].append((own, (time.process_time() - process) / REQUESTS * 1e6))
    return {
        name: (statistics.median(own for own, _ in times), statistics.median(all_ for _, all_ in times))
        for name, times in found.items()
    }


def main(name: str) -> None:
    kind, variable, value = BACKENDS[name]
    port = free_port()
    command = [sys.executable, "-u", "-m", "tests.servers.tracing.collector", kind, str(port)]
    collector = Running(command, cwd=ROOT, env=dict(os.environ))
    try:
        collector.line_with('"listening": true')
        with tempfile.TemporaryDirectory() as folder:
            found = compare(Path(folder), **{variable: value.format(port=port)})
    finally:
        collector.kill()
    (off, off_all), (on, on_all) = found["off"], found["on"]
    print(f"{name}: {off:.0f} us without, {on:.0f} us with: {on - off:+.0f} us of the request's thread, ", end="")
    print(f"{on_all - off_all:+.0f} us of the process with what sends them")


if __name__ == "__main__":
    main(*sys.argv[1:])
