"""The disk is full: what can be read is served, what can not be stored is a clear 507, nothing is half-written."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.servers import WORK, flask, gunicorn
from benchmarks.visitor import Visitor
from tests.servers import disks
from tests.servers.running import Running, get, wait_until

COUNTER = "/counters/1"

pytestmark = disks.NEEDS_ROOT


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small(tmp_path / "disk") as folder:
        yield folder


def until_refused(send: Callable[[], int]) -> int:
    """A few writes may find room in pages that the files have already."""
    for _ in range(200):
        if (status := send()) >= 400:
            return status
    return 0


@pytest.fixture
def server(disk: Path) -> Iterator[Running]:
    flask(disk, "db", "upgrade")
    flask(disk, "make-counters", application=WORK)
    with gunicorn(disk, "-w", "2", LOG_LEVEL="WARNING") as server:
        wait_until(lambda: len(server.children()) == 2, 10)
        yield server


def test_pages_are_read_and_writes_refused_until_there_is_room_again(server: Running, disk: Path) -> None:
    processes = server.children()
    with Visitor(server.port, COUNTER) as visitor:
        assert visitor.send(COUNTER)[0] == 303
        filler = disks.fill(disk)
        assert until_refused(lambda: visitor.send(COUNTER)[0]) == 507
        assert "no room left to store this" in visitor.read(COUNTER, "")
        for path in (COUNTER, "/counters/", "/", "/about", "/health", "/ready", "/none"):
            for _ in range(8):  # by both workers
                assert get(server.port, path)[0] == (404 if path == "/none" else 200), path
        counted = get(server.port, COUNTER)[2]
        filler.unlink()
        assert visitor.send(COUNTER)[0] == 303
    assert get(server.port, COUNTER)[2] != counted
    assert server.children() == processes, "no worker was replaced"
    with closing(sqlite3.connect(disk / "app.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_large_body_that_finds_no_room_is_refused_clearly(server: Running, disk: Path) -> None:
    """What is larger than 500 KB waits in a file of TMPDIR, here on the same disk."""
    for _ in range(8):  # both workers choose their folder for such files while there is room
        assert send_large(server.port)[0] == 303
    filler = disks.fill(disk)
    for _ in range(4):
        status, page = send_large(server.port)
        assert (status, "no room left to store this" in page) == (507, True)
    filler.unlink()
    assert send_large(server.port)[0] == 303


def send_large(port: int) -> tuple[int, str]:
    with Visitor(port, COUNTER) as visitor:
        return visitor.upload(COUNTER, b"x" * 2_000_000)


def test_a_log_file_on_a_full_disk_costs_lines_and_never_an_answer(disk: Path, instance: Path) -> None:
    log = disk / "app.log"
    with gunicorn(instance, "-w", "2", LOG_FILE=log) as server:
        wait_until(lambda: len(server.children()) == 2, 10)
        processes = server.children()
        filler = disks.fill(disk)
        with Visitor(server.port, COUNTER) as visitor:
            for _ in range(150):
                assert visitor.send(COUNTER)[0] == 303
                assert get(server.port, "/none")[0] == 404
            filler.unlink()
            size = log.stat().st_size
            visitor.send(COUNTER)
        wait_until(lambda: log.stat().st_size > size, 20)
        assert server.children() == processes, "no worker was replaced"
        assert "Traceback" not in server.output
