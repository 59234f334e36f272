"""How Gunicorn serves the application. Read by every `gunicorn …` that is started in this folder.

Precedence: command line, then GUNICORN_CMD_ARGS, then this file, which takes its numbers from config.py
and so from .env. Figures named here were measured; see docs/serving.md for the tables.
"""

import os
import re
import shlex
import sys

from dotenv import dotenv_values

# --- gevent: patch first ----------------------------------------------------------------------
# With preload_app the application is imported before the worker class gets a chance to patch, and a time.sleep or
# a lock bound before patching blocks the whole worker: 38 requests/s instead of 592. So look ahead at what was
# asked for, on the command line too, and patch before anything else is imported.


def _asked_worker_class() -> str:
    arguments = [*sys.argv[1:], "--", *shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))]
    for position, argument in enumerate(arguments):
        if argument in {"-k", "--worker-class"}:
            return arguments[position + 1]
        if match := re.match(r"(?:-k|--worker-class=)(\w.*)", argument):
            return match[1]
    return (
        os.environ.get("WORKER_CLASS")
        or dotenv_values(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".env")).get("WORKER_CLASS")
        or "gthread"
    )


worker_class = _asked_worker_class()
if worker_class == "gevent":
    from gevent import monkey

    monkey.patch_all()
elif worker_class == "eventlet":
    sys.exit("Gunicorn dropped the eventlet worker in release 26. Use gevent: WORKER_CLASS=gevent or -k gevent")
elif worker_class not in {"gthread", "sync"} and "." not in worker_class:
    sys.exit(f"{worker_class!r} is no worker class of this application. Use gthread, gevent or sync.")

import contextlib  # noqa: E402
import faulthandler  # noqa: E402
import gc  # noqa: E402
import logging  # noqa: E402
import socket  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from config import ConfigError, load_config  # noqa: E402

try:
    settings = load_config()
except ConfigError as error:
    sys.exit(str(error))

# Prometheus' client decides at its import whether it counts for several processes; on_starting makes the folder.
# A master that took over (USR2) has it from the one before.
if "GUNICORN_PID" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.INSTANCE_PATH / "run" / f"metrics-{os.getpid()}")

from app.platform import health, logs, metrics  # noqa: E402
from serving import (  # noqa: E402
    begin,
    closing,
    companions,
    forking,
    introduction,
    metrics_folder,
    migrating,
    sizing,
    streams,
    warming,
)

# --- what to serve, and where -----------------------------------------------------------------

wsgi_app = "wsgi:app"
chdir = str(Path(__file__).resolve().parent)  # never trust $PWD: after a release it may name the old folder
bind = settings.HOST if settings.HOST.startswith("unix:") else f"{settings.HOST}:{settings.PORT}"
backlog = 2048  # connections that wait while a reload swaps workers; nothing is refused meanwhile
reuse_port = False  # it would lose requests at every reload: 48 of 18,642 measured

# --- how many at once -------------------------------------------------------------------------
# A worker computes on one CPU; its threads wait for databases and other servers. Capacity for pages that wait
# is workers x threads / seconds waited.

_, memory = companions.wanted(settings, wsgi_app)
workers = settings.WORKERS or sizing.worker_count(beside=memory)
threads = settings.THREADS if worker_class == "gthread" else 1
worker_connections = 1000  # per worker, idle keep-alive ones included; serving/gthread.py shares the busy ones out

# --- how long ---------------------------------------------------------------------------------
# An idle keep-alive connection costs a place above. Direct: short. Behind a proxy on a unix socket: longer than
# the proxy's own idle time-out (nginx: 60 s), so that it is the proxy that closes.
keepalive = 75 if bind.startswith("unix:") else 5
timeout = 30  # seconds without a heartbeat: for gthread and gevent this finds a stuck worker, not a slow request
graceful_timeout = 30  # seconds for running requests at a stop; a service manager must wait longer

# --- memory -----------------------------------------------------------------------------------
# Loaded once in the parent and shared after the fork: 104 instead of 172 MiB for four workers, and a new worker
# serves at once. A HUP then does not load new code: scripts/reload.sh starts a new parent instead.
preload_app = True
max_requests = 10_000  # a slow leak is cut off; the jitter keeps workers from leaving at the same time
max_requests_jitter = 5_000
if os.path.isdir("/dev/shm"):
    worker_tmp_dir = "/dev/shm"  # a heartbeat on a busy disk can take seconds and gets healthy workers killed

# --- limits and trust -------------------------------------------------------------------------
# The gateway alone decides who is trusted: no header changes the scheme or the path before it has looked.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"  # X_Forwarded_For must not become X-Forwarded-For
http_parser = "python"  # gunicorn_h1c, once installed, would silently accept folded headers
control_socket_disable = True  # one path for all applications of a user, and an error where HOME is read-only

# --- logs -------------------------------------------------------------------------------------
accesslog = None  # the gateway writes the access log: one JSON line, with the request id, for 8 µs instead of 30
loglevel = settings.LOG_LEVEL.lower()
logconfig_dict = logs.dict_config(settings)

# --- hooks, in the order in which they run ------------------------------------------------------
# Tutorials also name worker_ready and nanny_callback: Gunicorn calls no such hooks.

if worker_class == "gthread":
    # A thread per request must not become a thread per slow or silent client: serving/gthread.py says how.
    from serving import gthread

    gthread.mend()
logging.getLogger("gunicorn.error").addFilter(streams.is_not_about_stalling)


def on_starting(server: Any) -> None:
    metrics_folder.make_folder(settings.INSTANCE_PATH, inherited=server.master_pid != 0)
    health.drain_mark(settings.INSTANCE_PATH, server.pid).unlink(missing_ok=True)  # of a server with the same number
    forking.let_new_workers_end(server)
    if os.environ.pop(migrating.ASKED, ""):
        migrating.migrate(server)
    unix_sockets = [address for address in server.cfg.address if isinstance(address, str)]
    if unix_sockets and not settings.TRUSTED_PROXIES:
        server.halt(f"{unix_sockets[0]} is a unix socket, so a proxy is in front. Set TRUSTED_PROXIES=1", 1)
    if worker_class == "gevent" and settings.DATABASE_URL.startswith("sqlite"):
        server.log.warning(
            "gevent with SQLite: a request that waits for the database stops its whole worker. "
            "Use PostgreSQL, or WORKER_CLASS=gthread."
        )


def when_ready(server: Any) -> None:
    if preload_app:
        warming.warm(server.app.wsgi())
    if sys.platform == "linux":
        for listener in server.LISTENERS:
            if listener.sock.family in (socket.AF_INET, socket.AF_INET6):
                # The kernel hands over a connection with its first bytes, or after this many seconds without any.
                listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
            if worker_class == "gthread":
                gthread.end_silence(listener.sock)
    serving = f"Gunicorn with {server.cfg.workers} {worker_class} workers x {server.cfg.threads} threads"
    server.log.info(introduction(settings, serving))
    closing.close_the_door(server)
    beside, _ = companions.wanted(settings, server.app.app_uri)  # which the command line may name
    companions.accompany(server, beside, on_end=lambda pid: metrics_folder.worker_is_gone(pid, ""))


def pre_fork(server: Any, worker: Any) -> None:
    gc.freeze()  # what is loaded stays out of later collections, so its pages stay shared: 13 % less memory


def post_fork(server: Any, worker: Any) -> None:
    if preload_app:
        # Connections that the parent opened while loading are the parent's: two processes on one socket corrupt it.
        from app.extensions import db

        with server.app.wsgi().app_context():
            db.engine.dispose(close=False)


def post_worker_init(worker: Any) -> None:
    faulthandler.enable()  # a crash in C code leaves the Python stacks in the log
    address = worker.sockets[0].getsockname()
    begin(
        worker.wsgi,
        port=address[1] if isinstance(address, tuple) else None,
        is_ending=lambda: not worker.alive,
        is_recycled=lambda: worker.nr >= worker.max_requests,
        streams=streams.room_of(worker),
    )
    if worker.cfg.pidfile:
        _tell_that_the_successor_boots(worker)


def _tell_that_the_successor_boots(worker: Any) -> None:
    """scripts/reload.sh waits for it: on the shared socket the old workers answer, too."""
    with contextlib.suppress(OSError):
        if Path(f"{worker.cfg.pidfile}.2").read_text(encoding="utf-8").strip() == str(worker.ppid):
            Path(f"{worker.cfg.pidfile}.booted").write_text(str(worker.ppid), encoding="utf-8")


def worker_abort(worker: Any) -> None:
    # The master gave up on this worker (no heartbeat within `timeout`): say what it was doing.
    logging.getLogger("gunicorn.error").critical("worker %s is stuck; its stacks follow", worker.pid)
    faulthandler.dump_traceback(all_threads=True)


def worker_exit(server: Any, worker: Any) -> None:
    if worker.pid == os.getpid() and not worker.alive:
        metrics_folder.leave("recycled" if worker.nr >= worker.max_requests else "stopped")


def child_exit(server: Any, worker: Any) -> None:
    metrics_folder.worker_is_gone(worker.pid, "unexpected" if worker.aborted else None)


def pre_exec(server: Any) -> None:
    try:
        _become_the_successor(server)
    except Exception:
        # This is a copy of the master, forked a moment ago. Whatever it raised would make it stop the master's workers.
        server.log.exception("the hand-over failed before it began")
        os._exit(1)


def _become_the_successor(server: Any) -> None:
    # USR2: the new master counts on in the same files. Its environment is the one from before this file ran.
    server.cfg.env_orig[metrics.FOLDER] = os.environ[metrics.FOLDER]
    if not server.cfg.pidfile:
        return
    Path(f"{server.cfg.pidfile}.successor").write_text(str(os.getpid()), encoding="utf-8")  # scripts/handover.sh waits
    # scripts/deploy.sh names the folder of another release here, whose interpreter and code take over.
    if (named := Path(f"{server.cfg.pidfile}.release")).exists():
        release = named.read_text(encoding="utf-8").strip()
        binaries = [f"{release}/.venv/bin/python", f"{release}/.venv/bin/gunicorn"]
        if not all(os.access(binary, os.X_OK) for binary in binaries):
            raise FileNotFoundError(release)
        server.START_CTX["args"][:2] = binaries
        server.START_CTX |= {0: binaries[0], "cwd": release}
        server.cfg.env_orig["PWD"] = release  # Gunicorn would go by it


def on_exit(server: Any) -> None:
    # Not while the other master of a hand-over lives, whose workers count there: the successor, or the one before.
    is_before_promotion = server.master_pid and server.master_pid == os.getppid()
    if not server.reexec_pid and not is_before_promotion:
        metrics_folder.remove_folder()
