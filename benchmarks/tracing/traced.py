"""The application with pages that ask the database and the cache, fail, and enqueue jobs: what a trace shows."""

import logging
import os

from flask import request
from sqlalchemy import text

from app import create_app
from app.extensions import cache, csrf, db
from app.platform.tasks import task

app = create_app()
SECRET = "-".join(("a", "secret", "value"))  # so that it is in no line of the source


@app.get("/orders/<name>")
def order(name: str) -> str:
    db.session.execute(text("SELECT count(*) FROM users WHERE name = :name"), {"name": SECRET})
    cache.get("orders")
    logging.getLogger("shop").warning("order looked at")
    return str(os.getpid())


@app.get("/broken")
def broken() -> str:
    password = "hunter2 of a local variable"
    raise LookupError(f"no order, password={password.split()[0]}, and {len(request.args)} arguments")


@app.get("/refused")
def refused() -> str:
    logging.getLogger("shop").error("refused, token=%s", SECRET, extra={"api_key": SECRET, "order": {"secret": SECRET}})
    return "no"


@app.get("/bad-statement")
def bad_statement() -> str:
    db.session.execute(text("SELECT no_such_column FROM users WHERE name = :name"), {"name": SECRET})
    return "never"


@task(name="traced.pack", retries=0)
def pack() -> None:
    db.session.execute(text("SELECT 'packed'"))


@app.post("/pack")
@csrf.exempt
def ask_to_pack() -> str:
    return str(pack.later())
