"""The application with a page that writes one row and answers when it is committed: for what must survive faults.

flask --app benchmarks.entries make-entries        makes the table
"""

import secrets

import click
from sqlalchemy import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app import create_app
from app.extensions import csrf, db
from app.platform.database import write_unit

app = create_app()


class Model(DeclarativeBase):
    """Not the application's: its migrations know nothing of the table below."""


class Entry(Model):
    __tablename__ = "benchmark_entries"

    writer: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Ballast(Model):
    __tablename__ = "benchmark_ballast"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@app.cli.command()
@click.option("--megabytes", default=0, help="Of rows in another table, so that a copy takes a while.")
def make_entries(megabytes: int) -> None:
    """Make the table of entries."""
    Model.metadata.create_all(db.engine)
    with write_unit():
        if megabytes:
            db.session.execute(insert(Ballast), [{"text": secrets.token_hex(5000)} for _ in range(megabytes * 100)])


@app.get("/entries/<int:writer>")
def last(writer: int) -> str:
    found = db.session.query(db.func.max(Entry.number)).filter_by(writer=writer).scalar()
    return str(found or 0)


@app.post("/entries/<int:writer>/<int:number>")
@csrf.exempt
def add(writer: int, number: int) -> str:
    with write_unit():
        db.session.merge(Entry(writer=writer, number=number))
    return "written"
