"""For servers whose parent process is not ours: uWSGI and mod_wsgi. Each of the two provides a module of its name."""

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from serving import begin as begin_to_serve

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_log = logging.getLogger("groundwork.jobs")


def prepare() -> None:
    """To be called first of all, before even the settings are imported; does nothing under other servers."""
    if uwsgi := sys.modules.get("uwsgi"):
        if uwsgi.worker_id():
            # uWSGI asks a worker to end by this signal, but one that is still loading has no ear for it yet, and the
            # stop would wait for ever. There is no request yet that it would have to finish.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        _count_together(int(uwsgi.masterpid()) or os.getpid())
    elif "mod_wsgi" in sys.modules:
        _count_together(os.getppid())


def begin(application: Any) -> None:
    """To be called last of all, with what was made."""
    uwsgi: Any = sys.modules.get("uwsgi")
    _miss_the_worker(application, uwsgi)
    if uwsgi and not uwsgi.worker_id():
        uwsgi.post_fork_hook = lambda: begin_to_serve(application, None)  # it has loaded before it forks
    elif uwsgi or "mod_wsgi" in sys.modules:
        begin_to_serve(application, None)


def _miss_the_worker(application: Any, uwsgi: Any) -> None:
    """Says once where jobs are enqueued that nobody does: these parents start no process for them by themselves."""
    extensions = application.extensions
    if extensions["settings"].JOBS != "embedded" or "enqueue" not in extensions:
        return
    if uwsgi:
        has_one = any(b"serving.companions" in _text(value) for value in uwsgi.opt.values())
        is_first = uwsgi.worker_id() < 2
    else:
        has_one, is_first = not _is_foreign(), True
    if is_first and not has_one:
        _log.warning(
            "nobody does the jobs: this server starts no process for them. Run `flask --app wsgi worker` beside it, "
            "and say JOBS=external"
        )


def _text(value: Any) -> bytes:
    """Of an option that may stand there several times, and then is a list."""
    return b" ".join(value) if isinstance(value, list) else bytes(value) if isinstance(value, bytes) else b""


def _is_foreign() -> bool:
    program = Path(sys.argv[0])  # `waitress-serve`, or `python -m waitress`
    return "mod_wsgi" in sys.modules or program.stem == "waitress-serve" or program.parent.name == "waitress"


def _count_together(parent: int) -> None:
    if FOLDER not in os.environ:
        os.environ[FOLDER] = ""  # Prometheus decides at its import, below, whether it counts for several processes
        from config import ConfigError, load_config
        from serving import metrics_folder

        with contextlib.suppress(ConfigError):  # create_app() will tell
            metrics_folder.join_folder(load_config().INSTANCE_PATH, parent)
