"""uWSGI starts, replaces and ends the process for jobs, as Gunicorn and Waitress do."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment
from tests.deploy.uwsgi.server import uwsgi
from tests.servers.running import Running, free_port, is_alive, wait_until

NOBODY = "nobody does the jobs"


def command_of(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path("/proc", pid, "cmdline").read_text().replace("\0", " ")
    return ""


def job_process(server: Running) -> int:
    """Of which uWSGI is the parent's parent."""
    (beside,) = [pid for pid in server.children() if "serving.companions" in command_of(str(pid))]
    (found,) = Path(f"/proc/{beside}/task/{beside}/children").read_text().split()
    assert "worker" in command_of(found)
    return int(found)


def test_jobs_are_done_from_the_start_to_the_stop_also_after_a_reload_and_a_kill() -> None:
    with uwsgi("http", processes=2) as one:
        server = one.server
        wait_until(lambda: server.output.count("does jobs, pid") == 1, 30, lambda: server.output)
        os.kill(job_process(server), signal.SIGKILL)
        wait_until(lambda: server.output.count("does jobs, pid") == 2, 30, lambda: server.output)
        one.tell("r")
        wait_until(lambda: server.output.count("does jobs, pid") == 3, 60, lambda: server.output)
        process = job_process(server)
        server.process.terminate()
        assert server.end() == 0
        wait_until(lambda: not is_alive(process), 20)
        assert server.output.count(" ends") == 2
        assert NOBODY not in server.output


def test_a_uwsgi_that_is_killed_takes_the_process_along() -> None:
    with uwsgi("http", processes=1) as one:
        one.server.line_with("does jobs, pid")
        process = job_process(one.server)
        one.server.process.kill()
        wait_until(lambda: not is_alive(process), 40, lambda: one.server.output)


@pytest.mark.parametrize(("jobs", "lines"), [("embedded", 1), ("external", 0)])
def test_a_uwsgi_without_our_file_says_that_nobody_does_them(tmp_path: Path, jobs: str, lines: int) -> None:
    command = [Path(sys.executable).with_name("uwsgi"), "--http-socket", f"127.0.0.1:{free_port()}", "--master"]
    command += ["--wsgi-file", "wsgi.py", "--callable", "app", "--processes", "2", "--enable-threads", "--lazy-apps"]
    server = Running(command, cwd=ROOT, env=environment(tmp_path, JOBS=jobs))
    try:
        wait_until(lambda: server.output.count("WSGI app 0 (") == 2, 60, lambda: server.output)
        assert server.output.count(NOBODY) == lines
    finally:
        server.kill()
