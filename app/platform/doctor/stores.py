"""Checks of what stands beside the database: the cache, Redis, backups, the numbers for Prometheus."""

import secrets
import time
from shlex import quote
from urllib.parse import urlsplit

from flask import current_app

from app.extensions import cache
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn

LOCAL = {None, "", "localhost", "127.0.0.1", "::1"}
OLDEST_BACKUP = 26  # hours: a daily one, and two for being late
MUCH_TOO_OLD = 7 * 24  # hours
READ_URL = "url=$(.venv/bin/python -c 'from config import load_config; print(load_config().REDIS_URL)')"
CONFIGURE = 'redis-cli -u "$url" CONFIG'
DROP = f"{CONFIGURE} SET maxmemory-policy volatile-ttl"
KEEP = f"{CONFIGURE} REWRITE  # for its next start; where it has no file of its own: as options of its command"
ALONE = {"SimpleCache", "NullCache", "FileSystemCache"}


@check("cache.shared", "Each worker then has a cache of its own: what one has forgotten, the others still show.")
def cache_is_shared(deployment: Deployment) -> Finding:
    """Do all workers share one cache?"""
    kind = type(cache.cache).__name__
    if kind in ALONE:
        return fail(f"{kind} is for one process.", "git checkout app/platform/cache.py")
    return ok("In Redis." if deployment.settings.REDIS_URL else "In a file, for all workers of this machine.")


@check("cache.works", "While its store fails, everything is computed anew for every request.")
def cache_keeps_values(deployment: Deployment) -> Finding:
    """Does the cache give back what it was given?"""
    key, value = f"doctor:{secrets.token_hex(4)}", time.time()
    cache.set(key, value, timeout=10)
    found = cache.get(key)
    cache.delete(key)
    if found != value:
        start = "sudo systemctl start redis-server  # or mend REDIS_URL"
        anew = f"rm -r {quote(str(deployment.instance))}/cache.db*"
        return warn("It does not.", start if deployment.settings.REDIS_URL else anew)
    return ok("It does.")


@check(
    "redis.safe", "Who reaches a Redis without a password writes what our workers unpickle, and so runs code in them."
)
def redis_is_closed(deployment: Deployment) -> Finding:
    """Does Redis want a password, and is the way to it encrypted, where others can reach it?"""
    url = urlsplit(deployment.settings.REDIS_URL or "")
    if not url.scheme:
        return skip("there is no Redis.")
    if url.scheme == "unix" or url.hostname in LOCAL:
        return ok("It is on this machine.")
    if deployment.is_neighbour(url.hostname):
        return skip(f"who reaches {url.hostname} is decided by the network of the containers.")
    if not url.password:
        return fail(f"{url.hostname} wants no password.", "REDIS_URL=rediss://:<password>@<host>:6379/0")
    if url.scheme != "rediss":
        return warn(f"The way to {url.hostname} is not encrypted.", "REDIS_URL=rediss://:<password>@<host>:6379/0")
    return ok("It wants a password, and TLS.")


@check("redis.memory", "A Redis that is full refuses every write, or takes the whole machine's memory before.")
def redis_has_a_limit(deployment: Deployment) -> Finding:
    """Has Redis a limit, and does it drop what expires first when it is full?"""
    if not deployment.settings.REDIS_URL:
        return skip("there is no Redis.")
    client = getattr(cache.cache, "_write_client", None)
    if client is None:
        return skip("the cache is not in Redis.")
    memory = client.info("memory")
    limit, policy = memory.get("maxmemory", 0), memory.get("maxmemory_policy", "")
    if policy.startswith("allkeys-"):  # counts of log-ins and locks would go, too
        seen = f"{policy} also drops the counts of log-ins and locks."
        return warn(seen, f"{READ_URL}\n{DROP}\n{KEEP}")
    if not limit:
        seen = "It may take as much as the machine has, from the others there."
        return warn(seen, f"{READ_URL}\n{CONFIGURE} SET maxmemory 200mb\n{DROP}\n{KEEP}")
    if policy == "noeviction":
        return warn("When it is full it refuses every write.", f"{READ_URL}\n{DROP}\n{KEEP}")
    return ok(f"{policy}, {limit / 1e6:,.0f} MB.")


@check("backup.age", "The day on which one is needed is too late to make one.")
def backup_is_young(deployment: Deployment) -> Finding:
    """Is there a backup of the last 26 hours?"""
    folder = deployment.settings.BACKUP_FOLDER or deployment.instance / "backups"
    files = list(folder.glob("*.tar.gz"))
    fix = ".venv/bin/flask --app wsgi backup  # with BACKUP_FOLDER=/mnt/backups in .env a job makes one every day"
    if not files and deployment.settings.DATABASE_URL.startswith("postgresql"):
        return skip(f"there is none in {folder}; your database's provider may make them. See docs/backup.md.")
    if not files:
        return warn(f"There is none in {folder}.", fix)
    hours = (time.time() - max(file.stat().st_mtime for file in files)) / 3600
    seen = f"The newest in {folder} is {hours:.0f} hours old."
    if hours > MUCH_TOO_OLD:
        return fail(seen, fix)
    return warn(seen, fix) if hours > OLDEST_BACKUP else ok(seen)


@check("metrics.readable", "Alarms that are blind do not ring.")
def metrics_can_be_read(deployment: Deployment) -> Finding:
    """Can Prometheus read the numbers?"""
    if str(deployment.settings.METRICS_PORT or "").rpartition(":")[2] == str(deployment.settings.PORT):
        return fail("METRICS_PORT is PORT: the process for it never gets the port.", "METRICS_PORT=9100")
    count = 0
    for collector in current_app.extensions["collectors"]:
        try:
            count += len(list(collector()))
        except Exception as error:  # what is done about it in a scrape: the others are still told
            reason = str(getattr(error, "orig", error)).partition("\n")[0]
            name = getattr(getattr(collector, "func", collector), "__module__", "a collector")
            return warn(f"{name} fails: {reason}", ".venv/bin/flask --app wsgi doctor --only db")
    return ok(f"{count} metrics that are read at each scrape, and the counts of requests.")
