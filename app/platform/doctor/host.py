"""Checks of the machine: whose files, who may read them, room, memory, open files, the clock."""

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from shlex import quote

from sqlalchemy import text

from app.extensions import cache, db
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn

GIB = 1024**3
CONNECTIONS = 1000  # gunicorn.conf.py's worker_connections
LARGEST_OFFSET = 2  # seconds between two clocks


@check("host.root", "What breaks into a process of root owns the machine, not only the site.")
def is_not_root(deployment: Deployment) -> Finding:
    """Does the site belong to a user of its own?"""
    if sys.platform == "win32":
        return skip("Windows has no root.")
    if os.geteuid():  # a root who asks in the name of another user is sent away by the command
        return ok(f"This runs as user {os.geteuid()}.")
    own = f"useradd --system groundwork; chown -R groundwork {quote(str(deployment.instance))}"
    fix = f"{own}; sudo -u groundwork scripts/start.sh"
    return fail("The site is root's.", fix)


def exposed(file: Path) -> bool:
    """Whether any user of the machine can read it: it is open, and so are all folders on the way."""
    try:
        mode = file.stat().st_mode
        way = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.resolve().parents)
    except OSError:
        return False
    return bool(mode & stat.S_IROTH) and way


def private_files(deployment: Deployment) -> Iterator[Path]:
    """What holds secrets or data of people."""
    yield (deployment.root / ".env").resolve()  # a release has a link, and may be gone when this is read
    yield from (deployment.instance / name for name in ("secret_key", "doctor.json", "cache.db"))
    if (database := db.engine.url.database) and db.engine.dialect.name == "sqlite":
        yield Path(database)
        yield Path(f"{database}-wal")
    yield from (deployment.settings.BACKUP_FOLDER or deployment.instance / "backups").glob("*.tar.gz")


def _typed(files: list[Path]) -> str:
    """For a shell. The -wal of a database comes and goes, so it is no name but an end that may be there."""
    names = (str(file) for file in files if not file.name.endswith("-wal"))
    return " ".join(
        quote(name) + ("*" if Path(name).suffix == ".db" else "") for name in names if not name.endswith("-wal")
    )


@check("fs.private", "Every other user of the machine, and every other site on it, reads the secret and the data.")
def files_are_private(deployment: Deployment) -> Finding:
    """Can no other user read .env, the secret, the database and the backups?"""
    if sys.platform == "win32":
        return skip("Windows has other permissions.")
    files = list(private_files(deployment))
    if open_ones := [file for file in files if exposed(file)]:
        fix = f"chmod o-rwx {_typed(open_ones[:5])}"
        return fail(f"Everybody can read {', '.join(file.name for file in open_ones[:5])}.", fix)
    writable = [file for file in files if file.exists() and file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)]
    if writable:
        fix = f"chmod go-w {_typed(writable[:5])}"
        return warn(f"Others may write {', '.join(file.name for file in writable[:5])}.", fix)
    return ok(f"{sum(file.exists() for file in files)} files, closed to others.")


@check("log.private", "It says who was here, when, from where and what they looked at.")
def log_is_private(deployment: Deployment) -> Finding:
    """Can no other user read the log?"""
    file = deployment.settings.LOG_FILE
    if not file or sys.platform == "win32":
        return skip("LOG_FILE is not set: the log goes to the error stream, and whoever keeps that.")
    if exposed(file):
        return warn(f"Everybody can read {file.name}.", f"chmod o-rwx {quote(str(file))}*")
    return ok(f"{file.name} is closed to others.")


@check("fs.owner", "A file of root's in there stops the server at its next start, or the next migration.")
def one_user_owns_all(deployment: Deployment) -> Finding:
    """Does everything in the instance folder belong to one user?"""
    if sys.platform == "win32":
        return skip("Windows has other owners.")
    owner = os.stat(deployment.instance).st_uid
    if deployment.is_container and os.geteuid():  # a volume's own folder may be root's, and open to the group
        owner = os.geteuid()
    files = [*private_files(deployment), *(deployment.instance / name for name in ("run", "static", "uploads"))]
    inside = [file for file in files if file.exists() and deployment.instance in file.parents]
    if strange := [file for file in inside if file.stat().st_uid != owner]:
        fix = f"sudo chown -R {owner} {quote(str(deployment.instance))}"
        return fail(f"Not user {owner}'s: {', '.join(file.name for file in strange[:5])}.", fix)
    return ok(f"All is user {owner}'s.")


@check("fs.served", "What lies below app/static is sent to whoever asks for it.")
def nothing_private_is_served(deployment: Deployment) -> Finding:
    """Is nothing private below the folder of static files?"""
    static = deployment.root / "app/static"
    names = {".env", ".git", "secret_key", ".htpasswd", "id_rsa"}
    found = [
        file for file in static.rglob("*") if file.name in names or file.suffix in {".db", ".sqlite3", ".pem", ".key"}
    ]
    if static in deployment.instance.parents:
        found.append(deployment.instance)
    if found:
        fix = f"mv {quote(str(found[0]))} {quote(str(deployment.root.parent))}"
        return fail(f"Served to everybody: {found[0].name}.", fix)
    return ok("Neither keys nor databases are below app/static.")


@check("host.disk", "A full disk loses uploads, jobs and log lines, and the database refuses every write.")
def disk_has_room(deployment: Deployment) -> Finding:
    """Is there room on the disks that are written to?"""
    places = {deployment.instance, Path(deployment.environ.get("TMPDIR", "/tmp"))}
    places |= {file.parent for file in (deployment.settings.LOG_FILE,) if file}
    least = ""
    for place in (place for place in places if place.exists()):
        usage = shutil.disk_usage(place)
        free = f"{usage.free / GIB:.1f} GiB of {usage.total / GIB:.0f} GiB are free at {place}."
        if usage.total < GIB:  # a container's /tmp, in memory: for what is written and gone at once
            free = f"{usage.free >> 20} MiB of {usage.total >> 20} MiB are free at {place}."
            if usage.free < usage.total / 10:
                return warn(free, f"du -xh {quote(str(place))} | sort -h | tail -20")
        elif usage.free < GIB / 5:
            return fail(free, f"du -xh {quote(str(place))} | sort -h | tail -20")
        elif usage.free < GIB or (usage.free < usage.total / 10 and usage.free < 20 * GIB):
            return warn(free, f"du -xh {quote(str(place))} | sort -h | tail -20")
        if hasattr(os, "statvfs") and (found := os.statvfs(place)).f_files and found.f_favail < found.f_files / 20:
            fix = f"du -x --inodes {quote(str(place))} | sort -n | tail -20"
            return warn(f"{found.f_favail:,} of {found.f_files:,} inodes are free at {place}.", fix)
        least = free
    return ok(least)


def servers(deployment: Deployment) -> list[int]:
    """The numbers of the servers of this folder that run, as scripts/start.sh notes them."""
    found = []
    for file in (deployment.instance / "run").glob("*.pid"):
        number = file.read_text(encoding="ascii").strip()
        if number.isdigit() and (deployment.machine / "proc" / number / "limits").exists():
            found.append(int(number))
    return found


@check("host.files", "The connection that finds no number left is refused, and so is the database's file.")
def enough_files_may_be_open(deployment: Deployment) -> Finding:
    """May the server that runs open as many files as it takes connections?"""
    wanted = CONNECTIONS + 2 * deployment.settings.THREADS + 100
    running = servers(deployment)
    if not running:
        return skip("no server that scripts/start.sh has started runs here.")
    for number in running:
        limits = (deployment.machine / "proc" / str(number) / "limits").read_text(encoding="ascii")
        soft = next(line.split()[3] for line in limits.splitlines() if line.startswith("Max open files"))
        if soft != "unlimited" and int(soft) < wanted:
            fix = "ulimit -n 8192 && scripts/stop.sh && scripts/start.sh -d"
            return warn(f"Server {number} may open {soft}, and needs {wanted} when it is full.", fix)
    return ok(f"At least {wanted}.")


@check(
    "host.clock", "Sessions, tokens and certificates end by the clock; two machines that differ refuse each other's."
)
def clocks_agree(deployment: Deployment) -> Finding:
    """Do the clocks of this machine and of what it works with agree?"""
    others: dict[str, float] = {}
    if db.engine.dialect.name == "postgresql":
        others["PostgreSQL"] = (
            float(db.session.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))) - time.time()
        )
    if deployment.settings.REDIS_URL and (client := getattr(cache.cache, "_write_client", None)):
        seconds, micro = client.time()
        others["Redis"] = seconds + micro / 1e6 - time.time()
    if deployment.site and not deployment.site.is_away and (date := deployment.site.get("/health")["Date"]):
        others["the site"] = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()  # in whole seconds
    if not others:
        return skip("there is no other clock to compare with: SQLite, no Redis, no site that answers (--url).")
    name, offset = max(others.items(), key=lambda pair: abs(pair[1]))
    if abs(offset) > LARGEST_OFFSET:
        return warn(f"{name} is {offset:+.1f} s off.", "sudo timedatectl set-ntp true")
    return ok(f"At most {abs(offset):.1f} s apart: {', '.join(others)}.")
