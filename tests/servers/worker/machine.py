"""A machine with job workers: processes in an instance folder of its own, on a database that others may share."""

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.servers import ROOT, environment, flask
from tests.servers.running import Running

CHORES = "benchmarks.worker.chores"


class Machine:
    command = (sys.executable, "-m", "flask", "--app", CHORES, "worker")

    def __init__(self, instance: Path, **settings: object) -> None:
        instance.mkdir(exist_ok=True)
        self.instance, self.settings = instance, {"JOBS": "external", **settings}
        self.workers: list[Running] = []
        self.flask("db", "upgrade")
        self.flask("make-chores")
        url = str(settings.get("DATABASE_URL") or f"sqlite:///{instance}/app.db")
        self.url = url.replace("postgres://", "postgresql+psycopg://")
        self._engine = create_engine(self.url, poolclass=NullPool)

    def flask(self, *arguments: str) -> str:
        return flask(self.instance, *arguments, application=CHORES, **self.settings)

    def start_worker(self, wait: bool = True) -> Running:
        worker = Running(self.command, cwd=ROOT, env=environment(self.instance, **self.settings))
        self.workers.append(worker)
        if wait:
            worker.line_with("does jobs")
        return worker

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def states(self) -> dict[object, object]:
        return dict(self.rows("SELECT state, count(*) FROM jobs WHERE tick IS NULL GROUP BY state"))  # type: ignore[arg-type]

    def traces(self, what: str) -> Counter[object]:
        return Counter(
            number for name, number in self.rows("SELECT what, number FROM benchmark_traces") if name == what
        )

    def letters(self) -> Counter[int]:
        return Counter(int(line) for line in (self.instance / "letters").read_text().splitlines())

    def end(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGCONT)
            worker.kill()


@contextlib.contextmanager
def machine(instance: Path, **settings: object) -> Iterator[Machine]:
    made = Machine(instance, **settings)
    try:
        yield made
    finally:
        made.end()


def job_processes(server: Running) -> list[int]:
    found = []
    for pid in server.children():
        with contextlib.suppress(OSError):
            if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
    return found
