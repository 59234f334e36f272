"""The application with tasks that leave traces: rows with what was done, lines in a file of INSTANCE_PATH.

flask --app benchmarks.worker.chores make-chores        makes the table
"""

import os
import signal
import time
from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app import create_app
from app.extensions import csrf, db
from app.platform import logs
from app.platform.database import write_unit
from app.platform.tasks import TASKS, periodic, task, tell_progress

app = create_app()
TICK_TAKES = float(os.environ.get("TICK_TAKES", "0"))  # seconds
TICKING = float(os.environ.get("TICKING", "0"))  # seconds between two ticks; 0: none


class Model(DeclarativeBase):
    """Not the application's: its migrations know nothing of the table below."""


class Trace(Model):
    __tablename__ = "benchmark_traces"

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]
    number: Mapped[int]
    at: Mapped[float]  # seconds since 1970
    pid: Mapped[int]


def leave(what: str, number: int) -> None:
    db.session.add(Trace(what=what, number=number, at=time.time(), pid=os.getpid()))
    db.session.flush()


@task(atomic=True, name="chores.note", delay=0.1)
def note(number: int, seconds: float) -> None:
    leave("note", number)
    time.sleep(seconds)


@task(name="chores.letter", delay=0.1)
def letter(number: int, seconds: float) -> None:
    """Sent, then slow to return: what a kill meets."""
    with Path(app.instance_path, "letters").open("a") as letters:
        letters.write(f"{number}\n")
    time.sleep(seconds)


@task(name="chores.broken", retries=2, delay=0.05)
def broken(text: str) -> None:
    raise RuntimeError(text)


@task(name="chores.poison", retries=1, delay=0.1)
def poison() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="chores.careless", retries=0)
def careless() -> None:
    leave("careless", 1)


@task(name="chores.leaver", retries=0)
def leaver() -> None:
    raise SystemExit(1)


@task(name="chores.hangs", retries=0, limit=1)
def hangs() -> None:
    time.sleep(600)


@task(name="chores.hangs_writing", atomic=True, retries=0, limit=1)
def hangs_writing() -> None:
    leave("hangs", 1)
    time.sleep(600)


@task(name="chores.long")
def long() -> None:
    for percent in range(0, 100, 10):
        tell_progress(percent, f"step {percent // 10}")
        time.sleep(0.1)


if TICKING:

    @periodic(seconds=TICKING, name="chores.tick", atomic=not TICK_TAKES)
    def tick() -> None:
        number = int(logs.request_id.get().rpartition(" ")[2])  # of the moment that this run is for
        if not TICK_TAKES:
            return leave("tick", number)
        with write_unit():
            leave("tick", number)
        return time.sleep(TICK_TAKES)


@app.cli.command()
def make_chores() -> None:
    """Make the table of traces."""
    Model.metadata.create_all(db.engine)


@app.post("/chores/<name>/<int:number>")
@csrf.exempt
def ask(name: str, number: int) -> str:
    """Enqueues within a unit, which `?roll-back` undoes."""
    asked = {"note": lambda: note.later(number, 0), "letter": lambda: letter.later(number, 0), "long": long.later}
    with write_unit():
        return str(asked[name]())


@app.get("/traces/<what>")
def traces(what: str) -> dict[str, int]:
    counted = select(Trace.number, func.count()).where(Trace.what == what).group_by(Trace.number)
    return {str(number): count for number, count in db.session.execute(counted).all()}


@app.cli.command()
@click.argument("name")
@click.argument("count", type=int)
@click.option("--seconds", default=0.0)
def enqueue(name: str, count: int, seconds: float) -> None:
    """Enqueue COUNT chores."""
    for number in range(count):
        if name == "note":
            note.later(number, seconds)
        elif name == "letter":
            letter.later(number, seconds)
        else:
            TASKS[f"chores.{name}"].later(*(["on purpose"] if name == "broken" else []))
