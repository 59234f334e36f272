"""Checks of an SQLite database: how it is opened, and where it lies."""

import shutil
from pathlib import Path
from shlex import quote

from sqlalchemy import text

from app.extensions import db
from app.platform.database import BUSY_TIMEOUT
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn

DISTANT = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "fuse.sshfs",
    "fuse.s3fs",
    "glusterfs",
    "fuse.glusterfs",
    "ceph",
}


def database_file() -> Path | None:
    name = db.engine.url.database
    return Path(name) if db.engine.dialect.name == "sqlite" and name and name != ":memory:" else None


def not_sqlite() -> Finding:
    return skip("the database is no SQLite file.")


@check("sqlite.pragmas", "Without them readers wait for writers, writers fail at once, and rows point to what is gone.")
def sqlite_is_tuned(deployment: Deployment) -> Finding:
    """Is the database opened with WAL, a time-out and foreign keys?"""
    if not database_file():
        return not_sqlite()
    with db.engine.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    wrong = [name for name, good in (("journal_mode", "wal"), ("foreign_keys", 1)) if found[name] != good]
    if int(found["busy_timeout"] or 0) < BUSY_TIMEOUT:
        wrong.append("busy_timeout")
    if wrong:
        return fail(f"Not as it should be: {', '.join(wrong)}.", "git checkout app/platform/database.py")
    return ok(f"WAL, {found['busy_timeout']} ms, foreign keys.")


@check("sqlite.place", "Locks do not hold over a network: two machines that write at once destroy the file.")
def sqlite_lies_on_a_local_disk(deployment: Deployment) -> Finding:
    """Is the database's file on a disk of this machine?"""
    file = database_file()
    if not file:
        return not_sqlite()
    mounts = deployment.machine / "proc/mounts"
    if not mounts.exists():
        return skip("this platform does not say what is mounted.")
    folder, kind = "", ""
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, where, what, *_ = line.split()
        where = where.replace("\\040", " ")
        if len(where) >= len(folder) and (where == "/" or file.is_relative_to(where)):
            folder, kind = where, what
    if kind in DISTANT:
        return fail(f"{folder} is {kind}, of another machine.", "DATABASE_URL=postgresql://user@host/database")
    return ok(f"On {folder}, {kind}.")


@check("sqlite.room", "A migration, a backup and the -wal file each need as much again as the database has.")
def sqlite_has_room(deployment: Deployment) -> Finding:
    """Is there room for twice the database beside it?"""
    file = database_file()
    if not file or not file.exists():
        return not_sqlite()
    free, size = shutil.disk_usage(file.parent).free, file.stat().st_size
    seen = f"It has {size / 1e6:,.1f} MB, {free / 1e6:,.0f} MB are free."
    return warn(seen, f"du -xh {quote(str(file.parent))} | sort -h | tail -20") if free < 2 * size else ok(seen)


@check(
    "sqlite.gevent", "SQLite waits in C, where gevent can not switch: one slow query stops all requests of a worker."
)
def sqlite_is_not_under_gevent(deployment: Deployment) -> Finding:
    """Is SQLite used with threads, and not with gevent?"""
    if not database_file():
        return not_sqlite()
    if deployment.settings.WORKER_CLASS == "gevent":
        return warn("WORKER_CLASS is gevent.", "WORKER_CLASS=gthread")
    return ok(f"WORKER_CLASS is {deployment.settings.WORKER_CLASS}.")
