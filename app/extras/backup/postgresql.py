"""PostgreSQL through its own programs pg_dump, pg_restore and psql. A password goes through the environment only."""

import os
import secrets
import subprocess
from pathlib import Path

import click
from sqlalchemy import text

from app.extensions import db
from app.extras.backup.report import Failed, connected, count

MEMBER = "database.dump"  # pg_dump's custom format: pg_restore reads it
_FROM_17 = b"SET transaction_timeout = 0;"  # is written by pg_restore of 17 and later, and refused by servers before
_OURS = ("--no-owner", "--no-privileges", "--no-comments")  # the role of DATABASE_URL may have had another name


def snapshot(target: Path) -> dict[str, int]:
    """Writes the database as it is at this moment; returns how many rows each table has in the same moment."""
    with connected(db.engine.url, isolation_level="REPEATABLE READ") as connection:
        rows = count(connection)
        moment = connection.scalar(text("SELECT pg_export_snapshot()"))
        # Not compressed here: the archive is. A minute: a migration may hold its locks for a while.
        options = ("--format=custom", "--compress=0", "--lock-wait-timeout=60s", f"--snapshot={moment}")
        _run("pg_dump", *options, f"--file={target}", _address())
    return rows


def trial(file: Path) -> dict[str, int] | None:
    """The rows of a database beside this one with what is in `file`; None where this role may make no database."""
    name = f"{(db.engine.url.database or '')[:45]}_verify_{secrets.token_hex(4)}"
    with connected(db.engine.url, isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")):
            _run("pg_restore", "--list", str(file))
            click.echo("It was not restored for a trial: this role may not create databases (CREATEDB).", err=True)
            return None
        connection.execute(text(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"))
        try:
            _psql(name, _script(file, *_OURS))
            with connected(db.engine.url.set(database=name)) as restored:
                return count(restored)
        finally:
            connection.execute(text(f'DROP DATABASE "{name}"'))


def put_back(file: Path) -> None:
    """Replaces all tables in one transaction, also those of later migrations, of which the dump knows nothing."""
    quote = db.engine.dialect.identifier_preparer.quote
    with connected(db.engine.url, isolation_level="AUTOCOMMIT") as connection:
        drops = [f"DROP TABLE IF EXISTS {quote(name)} CASCADE" for name in count(connection)]
    _psql("", _script(file, *_OURS, "--clean", "--if-exists"), "SET lock_timeout = '60s'", *drops)


def _script(file: Path, *options: str) -> Path:
    """What is in `file` as statements that this server knows, whichever programs are here."""
    script = file.with_suffix(".sql")
    _run("pg_restore", *options, f"--file={script}", str(file))
    with script.open("r+b") as statements:  # may be larger than the memory; this is in its first lines
        found = statements.read(10_000).find(_FROM_17)
        if found >= 0 and (db.session.scalar(text("SHOW server_version_num")) or "") < "170000":
            statements.seek(found)
            statements.write(b"--  ")
    db.session.rollback()
    return script


def _psql(database: str, script: Path, *first: str) -> None:
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
    _run("psql", *options, *(f"--command={one}" for one in first), f"--file={script}", _address(database))


def _address(database: str = "") -> str:
    url = db.engine.url.set(drivername="postgresql", database=database or db.engine.url.database)
    return f"--dbname={url.set(password=None).render_as_string()}"


def _run(program: str, *options: str) -> None:
    """Runs one of PostgreSQL's programs to its end; it prints its own faults."""
    environment = os.environ | ({"PGPASSWORD": str(db.engine.url.password)} if db.engine.url.password else {})
    try:
        done = subprocess.run([program, *options], stdout=subprocess.DEVNULL, env=environment, check=False)
    except FileNotFoundError:
        raise Failed(f"{program} is not installed (Debian: apt-get install postgresql-client)") from None
    if done.returncode:
        raise Failed(f"{program} failed; it says above why. It must not be older than the server")
