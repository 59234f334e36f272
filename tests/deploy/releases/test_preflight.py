"""scripts/preflight.py --wait: when asking again may help, and when it is known at once that it does not."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from benchmarks.servers import ROOT
from scripts.preflight import PASSING

Answer = tuple[int, dict[str, object]]
READY: Answer = (200, {"version": "new", "problems": []})
Ask = Callable[..., "subprocess.CompletedProcess[str]"]


def unready(*problems: str) -> Answer:
    return 503, {"version": "new", "problems": problems}


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """Runs preflight.py with the options against a server that gives these answers, and the last one ever after."""
    answers: list[Answer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "address").write_text(f"127.0.0.1 {server.server_port}\n")

    def run(options: list[str], *given: Answer) -> "subprocess.CompletedProcess[str]":
        answers[:] = given
        command = [sys.executable, str(ROOT / "scripts/preflight.py"), "--address", str(tmp_path / "address"), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    yield run
    server.shutdown()
    server.server_close()


WAIT = ["--wait", str(os.getpid())]


def test_a_server_that_says_why_it_is_not_ready_is_not_waited_for(ask: Ask) -> None:
    started = time.monotonic()
    refused = ask(WAIT, unready("search: does not answer"))
    assert time.monotonic() - started < 10
    assert refused.returncode == 1
    assert refused.stderr == f"the server {os.getpid()} is not ready: /ready answers 503: search: does not answer\n"


@pytest.mark.parametrize("problem", sorted(PASSING))
def test_a_problem_that_passes_is_waited_for(ask: Ask, problem: str) -> None:
    assert f'"{problem}"' in (ROOT / "app/platform/health.py").read_text(encoding="utf-8")
    assert ask(WAIT, unready(problem), READY).returncode == 0


def test_another_release_is_waited_for_as_it_may_be_the_one_that_leaves(ask: Ask) -> None:
    assert ask([*WAIT, "--version", "new"], (200, {"version": "old", "problems": []}), READY).returncode == 0


def test_the_release_that_answers_is_named_even_if_it_is_not_ready(ask: Ask) -> None:
    assert ask([], unready("never")).stdout == "new\n"


def test_an_answer_of_something_else_is_no_release(ask: Ask) -> None:
    nobody = ask([], (200, 7))
    assert nobody.returncode == 1
    assert "nobody says which release serves: no answer" in nobody.stderr


def test_no_process_is_no_server(ask: Ask) -> None:
    """systemd's MainPID while it starts the next one."""
    refused = ask(["--wait", "0"], READY)
    assert refused.returncode == 1
    assert refused.stderr == "the server 0 is not ready: the process ended\n"
    assert refused.stdout == ""
