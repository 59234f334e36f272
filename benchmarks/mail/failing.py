"""The application with pages that fail, each in a way of its own, and one that sends mail."""

import logging
import time

from sqlalchemy import text

from app import create_app
from app.extensions import csrf, db
from app.platform.database import write_unit
from app.platform.mail import send_mail
from app.platform.tasks import task

app = create_app()


def divide(number: int) -> float:
    return number / 0


@app.get("/fail")
def fail() -> str:
    return f"password=hunter2 {divide(1)}"


@app.get("/fail/in-a-unit")
def fail_in_a_unit() -> str:
    """Holds SQLite's lock while it logs; returns how long that took, in seconds."""
    with write_unit():
        db.session.execute(text("UPDATE users SET name = name"))
        started = time.perf_counter()
        logging.getLogger("shop").error("token=abc123 while the database is locked")
        return str(time.perf_counter() - started)


@app.get("/fail/<int:times>")
def log_many(times: int) -> str:
    """Logs that many errors of one kind; returns the microseconds that one takes."""
    started = time.perf_counter()
    for _ in range(times):
        try:
            divide(1)
        except ZeroDivisionError:
            logging.getLogger("shop").exception("it can not be divided")
    return str((time.perf_counter() - started) / times * 1e6)


@app.post("/fail/job")
@csrf.exempt
def fail_in_a_job() -> str:
    return str(broken.later())


@task(name="failing.broken", retries=0)
def broken() -> None:
    raise LookupError("no such order")


@app.post("/send/<to>")
@csrf.exempt
def send(to: str) -> str:
    send_mail(to, "Grüße aus dem Laden", "Ihre Bestellung ist unterwegs.\n" + "ä" * 2000)
    return "will be sent"


@app.post("/hide-database")
@csrf.exempt
def hide_database() -> str:
    """Every statement from now on fails: its tables are gone."""
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME TO jobs_hidden"))
    return "hidden"


@app.post("/show-database")
@csrf.exempt
def show_database() -> str:
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs_hidden RENAME TO jobs"))
    return "shown"
