"""Live settings on real servers: every process follows an edit within 2 s, under load, and none falls for a bad one."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.live_settings.switching import BAR, SEEN, Visitors, measure, replace
from benchmarks.servers import flask, gunicorn, waitress
from tests.servers.running import Running, get, wait_until

WORKERS = 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    flask(tmp_path, "db", "upgrade")
    (tmp_path / "switches").mkdir()
    return tmp_path / "switches/live.toml"


@contextmanager
def served(server: str, path: Path) -> Iterator[Running]:
    instance = path.parents[1]
    if server == "gunicorn":
        with gunicorn(instance, "-w", str(WORKERS), application=SEEN, LIVE_SETTINGS=path) as running:
            yield running
    else:
        with waitress(instance, 3, application=SEEN, LIVE_SETTINGS=path) as running:
            yield running


@pytest.mark.parametrize(("server", "processes"), [("gunicorn", WORKERS), ("waitress", 3)])
def test_every_process_follows_an_edit_within_2_seconds_and_no_request_fails(
    server: str, processes: int, path: Path
) -> None:
    """Replaced by an editor, written in place, and swapped like a ConfigMap."""
    with served(server, path) as running, Visitors(running.port, 12) as visitors:
        seconds = measure(visitors, path, 3)
    assert visitors.failures == []
    assert len(visitors.processes()) == processes
    assert max(seconds) < BAR


def refusals(running: Running) -> list[str]:
    return [line for line in running.lines if "is not used, what was in force stays" in line]


def test_a_bad_edit_changes_no_process_and_is_logged_once_by_each(path: Path) -> None:
    replace(path, '[banner]\ntext = "good"\n')
    with served("gunicorn", path) as running, Visitors(running.port, 12) as visitors:
        replace(path, '[banner]\ntext = "bad"\ncolour = "red"\n')
        wait_until(lambda: len(refusals(running)) >= WORKERS, 20, lambda: running.output)
        time.sleep(BAR)  # in which nobody may say it again
        logged = [json.loads(line) for line in refusals(running)]
    assert visitors.failures == []
    assert {answer.text for answer in visitors.answers} == {"good"}
    assert len({line["pid"] for line in logged}) == len(logged) == WORKERS
    assert {"line 3: there is no setting banner.colour" in line["message"] for line in logged} == {True}


def test_a_worker_that_is_started_after_a_bad_edit_does_as_the_others(path: Path) -> None:
    with served("gunicorn", path) as running, Visitors(running.port, 4) as visitors:
        wait_until(lambda: len(running.children()) == WORKERS, 20, lambda: running.output)
        before = set(map(str, running.children()))
        replace(path, '[banner]\ntext = "good"\n')  # which the parent, of whom workers are copies, has never read
        time.sleep(BAR)
        replace(path, "[banner")
        wait_until(lambda: refusals(running), 20, lambda: running.output)
        os.kill(int(min(before)), signal.SIGTERM)
        wait_until(lambda: visitors.processes() - before, 30, lambda: running.output)
        time.sleep(BAR)
    assert {answer.text for answer in visitors.answers if answer.pid not in before} == {"good"}


def test_maintenance_closes_the_site_and_keeps_it_ready(path: Path) -> None:
    with served("gunicorn", path) as running:
        replace(path, "[maintenance]\non = true\nretry_after = 90\n")
        wait_until(lambda: get(running.port, "/")[0] == 503, 20, lambda: running.output)
        time.sleep(BAR)
        answers = [get(running.port, path) for path in ("/", "/about", "/api/v1/posts") * 10]
        assert {(status, headers["retry-after"]) for status, headers, _ in answers} == {(503, "90")}
        assert {get(running.port, path)[0] for path in ("/health", "/ready", "/metrics")} == {200}
        replace(path, "")
        wait_until(lambda: get(running.port, "/")[0] == 200, 20, lambda: running.output)
