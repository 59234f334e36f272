"""For servers whose parent process is not ours: uWSGI and mod_wsgi. Each of the two provides a module of its name."""

import contextlib
import os
import signal
import sys

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


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


def _count_together(parent: int) -> None:
    if FOLDER not in os.environ:
        os.environ[FOLDER] = ""  # Prometheus decides at its import, below, whether it counts for several processes
        from config import ConfigError, load_config
        from serving import metrics_folder

        with contextlib.suppress(ConfigError):  # create_app() will tell
            metrics_folder.join_folder(load_config().INSTANCE_PATH, parent)
