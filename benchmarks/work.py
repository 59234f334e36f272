"""The application with a few more pages, for measurements and tests: one that waits, one that computes, and a counter
in a table of its own with the form that adds to it. They stay when the example feature goes.

    flask --app benchmarks.work make-counters        makes the table, with all counters at 0
"""

import time
from datetime import datetime

from flask import abort, redirect, render_template, url_for
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.wrappers import Response

from app import create_app
from app.extensions import db
from app.platform.database import UtcDateTime, utc_now, write_unit

app = create_app()
COUNTERS = 20  # rows: as many as a page of a list has


class Model(DeclarativeBase):
    """Not the application's: its migrations know nothing of the table below."""


class Counter(Model):
    __tablename__ = "benchmark_counters"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(default=0)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


@app.cli.command()
def make_counters() -> None:
    """Make the table of counters, and set them to 0."""
    Model.metadata.create_all(db.engine)
    with write_unit():
        for number in range(1, COUNTERS + 1):
            db.session.merge(Counter(id=number, value=0))


@app.get("/wait/<int:milliseconds>")
def wait(milliseconds: int) -> str:
    time.sleep(milliseconds / 1000)
    return "waited"


@app.get("/compute/<int:milliseconds>")
def compute(milliseconds: int) -> str:
    """Uses this much CPU time, so that the work is the same however busy the machine is."""
    ends = time.thread_time() + milliseconds / 1000
    while time.thread_time() < ends:
        sum(range(200))
    return "computed"


COUNTERS_PAGE = app.jinja_env.from_string("""
{% extends "layout.html" %}
{% from "time.html" import moment %}
{% block title %}Counters{% endblock %}
{% block content %}
<h1>Counters</h1>
{% for counter in counters %}
<article>
  <h2><a href="{{ url_for('counter', number=counter.id) }}">Counter {{ counter.id }}</a></h2>
  <p>Counted to {{ counter.value }} since {{ moment(counter.made_at) }}</p>
</article>
{% endfor %}
{% endblock %}
""")

COUNTER_PAGE = app.jinja_env.from_string("""
{% extends "layout.html" %}
{% from "time.html" import moment %}
{% block title %}Counter {{ counter.id }}{% endblock %}
{% block content %}
<h1>Counted to {{ counter.value }}</h1>
<p>since {{ moment(counter.made_at) }}</p>
<form method="post" action="{{ url_for('add', number=counter.id) }}">
  <input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
  <button>Add one</button>
</form>
{% endblock %}
""")


@app.get("/counters/")
def counters() -> str:
    found = db.session.scalars(select(Counter).order_by(Counter.id)).all()
    return render_template(COUNTERS_PAGE, counters=found)


@app.get("/counters/<int:number>")
def counter(number: int) -> str:
    return render_template(COUNTER_PAGE, counter=db.session.get(Counter, number) or abort(404))


@app.post("/counters/<int:number>")
def add(number: int) -> Response:
    with write_unit():
        (db.session.get(Counter, number, with_for_update=True) or abort(404)).value += 1
    return redirect(url_for("counter", number=number), 303)
