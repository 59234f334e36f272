"""A stop that comes while a worker of Gunicorn's starts."""

import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, gunicorn
from tests.servers.running import wait_until

# The project's own configuration, with a worker that needs time for its first steps.
SLOW_FORK = f"""
import os, time
__file__ = {str(ROOT / "gunicorn.conf.py")!r}
os.register_at_fork(after_in_child=lambda: time.sleep(1.5))
exec(compile(open(__file__).read(), __file__, "exec"))
"""


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
def test_a_worker_that_was_forked_a_moment_ago_ends_with_the_server(
    instance: Path, tmp_path: Path, worker_class: str
) -> None:
    config = tmp_path / "slow_fork.py"
    config.write_text(SLOW_FORK)
    with gunicorn(instance, "-w", "1", "--config", str(config), WORKER_CLASS=worker_class) as server:
        (first,) = server.children()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: server.children() not in ([], [first]), 10)
        asked = time.monotonic()
        server.process.terminate()
        assert server.end() == 0, server.output
        assert time.monotonic() - asked < 10  # and not `graceful_timeout`, 30 s
