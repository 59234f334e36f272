"""Checks of the database: does it answer, may it be written, does it match the code, has it connections enough?"""

import contextlib
import io
import time
from shlex import quote
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.extensions import db
from app.platform import migrations
from app.platform.database import SPARE_CONNECTIONS
from app.platform.doctor import capacity, migrate
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn

SLOWEST = 1.0  # seconds for a connection and an answer
OLDEST_POSTGRES = 14  # PostgreSQL 13 ended in November 2025
UPGRADE = ".venv/bin/flask --app wsgi db upgrade"
LOCAL = {None, "", "localhost", "127.0.0.1", "::1"}


def is_postgres() -> bool:
    return db.engine.dialect.name == "postgresql"


def other_database() -> Finding:
    return skip(f"the database is {db.engine.dialect.name}.")


@check("db.answers", "Without its database every page but /health is an error.")
def database_answers(deployment: Deployment) -> Finding:
    """Does the database answer, and soon?"""
    started = time.perf_counter()
    try:
        with db.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            version = connection.dialect.server_version_info or (OLDEST_POSTGRES,)
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        fix = (
            "sudo systemctl start postgresql  # or mend DATABASE_URL"
            if is_postgres()
            else f"ls -l {quote(str(db.engine.url.database))}"
        )
        return fail(f"It does not: {reason}", fix)
    took = time.perf_counter() - started
    if took > SLOWEST:
        nearer = "DATABASE_URL=postgresql://<user>:<password>@<a nearer server>/<database>"
        return warn(f"It took {took:.1f} s.", nearer)
    if is_postgres() and int(version[0]) < OLDEST_POSTGRES:
        return warn(f"PostgreSQL {version[0]} is not maintained any more.", f"sudo pg_upgradecluster {version[0]} main")
    return ok(f"After {took * 1000:.0f} ms.")


@check("db.writable", "A read-only standby, a full disk or a wrong owner lets pages show, and every form fail.")
def database_can_be_written(deployment: Deployment) -> Finding:
    """May this user make a table, as a migration does?"""
    with db.engine.connect() as connection:
        if not is_postgres():
            connection.connection.driver_connection.execute("PRAGMA busy_timeout=1000")  # type: ignore[union-attr]
        try:
            connection = connection.execution_options(sqlite_begin="IMMEDIATE")
            connection.execute(text("CREATE TABLE doctor_probe (id INTEGER)"))
        except DBAPIError as error:
            reason = str(error.orig).strip().partition("\n")[0]
            if "locked" in reason:
                return skip(f"somebody else writes for longer than 1 s: {reason}")
            owner = f"chown --reference={quote(str(deployment.instance))} {quote(str(db.engine.url.database))}*"
            grant = 'sudo -u postgres psql -c "GRANT ALL ON SCHEMA public TO <user of DATABASE_URL>" <database>'
            return fail(f"It refuses: {reason}", grant if is_postgres() else owner)
        finally:
            connection.rollback()
            connection.invalidate()
    return ok("A table was made, and taken back.")


@check("db.role", "Through one hole in one query a superuser reads files of the server and runs programs there.")
def role_is_no_superuser(deployment: Deployment) -> Finding:
    """Is the database's user no superuser?"""
    if not is_postgres():
        return other_database()
    name, is_super = db.session.execute(
        text("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
    ).one()
    if is_super:
        fix = f"sudo -u postgres psql -c 'ALTER ROLE \"{name}\" NOSUPERUSER'"
        return warn(f"{name} is a superuser.", fix)
    return ok(f"{name} is none.")


@check("db.encrypted", "Everybody on the way reads what people write, and the hashes of their passwords.")
def connection_is_encrypted(deployment: Deployment) -> Finding:
    """Is the way to another machine's database encrypted?"""
    if not is_postgres():
        return other_database()
    far = [host for host in _hosts() if host not in LOCAL and not host.startswith(("/", "@"))]
    if not far:
        return ok("It is on this machine.")
    host, *_ = far
    if all(map(deployment.is_neighbour, far)):
        return skip(f"who reads along on the way to {host} is decided by the network of the containers.")
    if not db.session.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")):
        where = f"{host}/{db.engine.url.database}?sslmode=require"
        return warn("It is not.", f"DATABASE_URL=postgresql://<user>:<password>@{where}")
    return ok("With TLS.")


def _hosts() -> list[str]:
    """Where libpq looks for the database: the query of its URL may name a host, a folder with a socket, or several."""
    _, given = db.engine.dialect.create_connect_args(db.engine.url)
    return str(given.get("hostaddr") or given.get("host") or "").split(",")


@check("db.migrations", "Code that asks for a column which is not there answers with errors.")
def database_is_migrated(deployment: Deployment) -> Finding:
    """Does the database have the code's newest migration?"""
    with db.engine.connect() as connection:
        state = migrations.state(connection)
    if state == "behind":
        return fail("It is behind the code.", UPGRADE)
    if state == "newer":
        return warn("It is newer than the code, as after a rollback.", "scripts/deploy.sh /srv/groundwork")
    return ok("It has.")


@check("db.heads", "With two newest migrations `flask db upgrade` does not know where to go, and a deploy stops.")
def migrations_have_one_end(deployment: Deployment) -> Finding:
    """Is there one newest migration?"""
    _, heads = migrations.revisions(deployment.root / "migrations")
    if len(heads) != 1:
        merge = f".venv/bin/flask --app wsgi db merge\n{UPGRADE}"
        return fail(f"There are {len(heads)}: {', '.join(sorted(heads))}.", merge)
    return ok(f"{min(heads)}.")


@check("db.drift", "A column that a model has and no migration makes is missing after the next deploy.")
def models_are_migrated(deployment: Deployment) -> Finding:
    """Do the models and the migrations agree?"""
    from alembic import command
    from alembic.util.exc import AutogenerateDiffsDetected

    with db.engine.connect() as connection:
        if migrations.state(connection) != "current":
            return skip("the database is not at the code's newest migration.")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            command.check(migrate.alembic_config())
    except AutogenerateDiffsDetected as error:
        if lacking := [step for step in error.diffs if not _is_left_over(step)]:
            names = ", ".join(sorted({str(step[0] if isinstance(step, tuple) else step[0][0]) for step in lacking}))
            write = '.venv/bin/flask --app wsgi db migrate -m "what changes"  # read what it writes, and commit it'
            return warn(f"{len(lacking)} differences that no migration makes: {names}.", f"{write}\n{UPGRADE}")
    return ok("They do.")


def _is_left_over(step: Any) -> bool:
    """Of a feature that was deleted: its tables stay, as data is not code."""
    if not isinstance(step, tuple) or not str(step[0]).startswith("remove_"):
        return False
    table = getattr(step[1], "table", step[1])
    return getattr(table, "name", None) not in db.metadata.tables


@check(
    "db.connections", "Who finds no connection left gets an error, first when it is busiest and while a reload runs."
)
def connections_suffice(deployment: Deployment) -> Finding:
    """Does the database let in as many connections as all processes may open?"""
    if not is_postgres():
        return other_database()
    need = capacity.measure(deployment)
    names = "('max_connections', 'superuser_reserved_connections', 'reserved_connections')"
    rows = db.session.execute(text(f"SELECT name, setting::int FROM pg_settings WHERE name IN {names}")).all()  # noqa: S608
    given = {name: value for name, value in rows}  # noqa: C416  # rows are no pairs to mypy
    most = given.pop("max_connections") - sum(given.values())
    pools, handover = f"{need.workers} × ({need.threads} + {SPARE_CONNECTIONS})", need.connections_in_handover
    jobs = f" + {capacity.JOBS_CONNECTIONS} for jobs" if need.jobs else ""
    seen = f"{pools}{jobs} = {need.connections} may be opened, {handover} during a reload; {most} are let in."
    fitting = max(1, (most // 2 - capacity.JOBS_CONNECTIONS) // need.workers - SPARE_CONNECTIONS)
    larger = f"sudo -u postgres psql -c 'ALTER SYSTEM SET max_connections = {handover + 20}'  # then restart PostgreSQL"
    if need.connections > most:
        return fail(seen, f"THREADS={fitting}\n{larger}")
    return warn(seen, f"THREADS={fitting}\n{larger}") if handover > most else ok(seen)
