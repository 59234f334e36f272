"""`python wsgi.py` with two processes: the real application under the real CPython for Windows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.running import free_port, get
from tests.servers.windows.console import Console
from tests.servers.windows.someone import HalfSent, use
from tests.servers.wine import Windows


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def console(windows: Windows, installed: Path, port: int) -> Iterator[Console]:
    python = installed / ".venv" / "Scripts" / "python.exe"
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "2"}
    with Console(windows, "wsgi.py", cwd=installed, python=python, **settings) as console:
        console.wait_for("serving on", 90)
        yield console


def test_it_has_two_processes(console: Console) -> None:
    assert "with Waitress, 2 processes" in console.text


def test_a_page_a_log_in_and_a_post(console: Console, port: int) -> None:
    assert get(port, "/ready")[0] == 200
    use(port, "ada")
    assert "Post of ada" in get(port, "/posts/")[2]


def test_ctrl_c_lets_a_post_finish_that_is_half_sent(console: Console, port: int) -> None:
    late = HalfSent(port, "grace")
    console.press_ctrl_c()
    late.wait_until_nobody_else_is_let_in()
    assert late.finish() == 303
    assert console.process.wait(40) == 0
    assert "Traceback" not in console.text
