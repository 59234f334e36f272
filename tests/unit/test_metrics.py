"""What Prometheus reads, who may read it, and that no client can make it grow."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from app.platform import metrics
from app.platform.metrics import RequestMetrics
from config import ROOT
from serving import metrics_folder

TOKEN = "Qm7xT2vLpW9zRk4sYc8nHf3JdB6gAe5u"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}


def samples(text: str, name: str) -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_route_and_never_by_path(client: FlaskClient) -> None:
    client.application.add_url_rule("/things/", "things", lambda: "things")
    client.application.add_url_rule("/things/<int:number>", "thing", lambda number: abort(404))
    for path in ("/things/1", "/things/2", "/things/", "/x1", "/x2", "/static/css/app.css"):
        client.get(path, buffered=True)
    text = client.get("/metrics").text
    assert samples(text, "http_requests_total") == {
        ("GET", "/things/<int:number>", "404"): 2,
        ("GET", "/things/", "200"): 1,
        ("GET", "none", "404"): 2,
        ("GET", "none", "200"): 1,
    }
    assert samples(text, "http_request_duration_seconds_count") == samples(text, "http_requests_total")


def test_the_time_is_sorted_into_buckets() -> None:
    counted = RequestMetrics()
    for seconds in (0.001, 0.3, 20):
        counted.observe("GET", "/", "200", seconds)
    text = counted.exposition().decode()
    assert re.search(r'_bucket\{le="0.005",.*\} 1.0', text)
    assert re.search(r'_bucket\{le="0.5",.*\} 2.0', text)
    assert re.search(r'_bucket\{le="\+Inf",.*\} 3.0', text)
    assert samples(text, "http_request_duration_seconds_sum") == {("GET", "/", "200"): 20.301}


def test_a_client_that_invents_methods_is_one_line_and_no_memory() -> None:
    counted = RequestMetrics()
    for number in range(100):
        counted.observe(f"EVIL{number}", "none", "405", 0.001)
    assert samples(counted.exposition().decode(), "http_requests_total") == {("OTHER", "none", "405"): 100}
    assert len(counted._children) == 0


@pytest.mark.parametrize(
    ("settings", "environ", "status"),
    [
        ({}, {"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({}, {"REMOTE_ADDR": "::1"}, 200),
        ({}, ELSEWHERE, 404),
        ({}, {"REMOTE_ADDR": ""}, 404),  # a unix socket tells nobody's address
        ({}, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 404),
        ({}, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}, 404),
        ({}, {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"}, 404),
        ({"METRICS_TOKEN": TOKEN}, ELSEWHERE | {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, 200),
        ({"METRICS_TOKEN": TOKEN}, ELSEWHERE | {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}x"}, 404),
        ({"METRICS_TOKEN": TOKEN}, ELSEWHERE | {"HTTP_AUTHORIZATION": "Bearer \xe4"}, 404),
        ({"METRICS_TOKEN": TOKEN}, ELSEWHERE, 404),
        ({}, ELSEWHERE | {"HTTP_AUTHORIZATION": "Bearer "}, 404),
        ({"METRICS_TOKEN": TOKEN}, {"REMOTE_ADDR": "127.0.0.1"}, 200),
    ],
)
def test_only_this_machine_or_the_token_may_read(
    settings: dict[str, str], environ: dict[str, str], status: int, make_app: Callable[..., Flask]
) -> None:
    answer = make_app(**settings).test_client().get("/metrics", environ_overrides=environ)
    assert answer.status_code == status
    assert ("http_requests" in answer.text) == (status == 200)


def test_the_folder_of_all_processes_is_made_private_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named by the user"
    named.mkdir()
    (named / "precious").touch()
    monkeypatch.setenv(metrics.FOLDER, str(named))
    folder = metrics_folder.folder_of(tmp_path)
    folder.mkdir(parents=True)
    (folder / "counter_1.db").touch()
    metrics_folder.make_folder(tmp_path)
    assert os.environ[metrics.FOLDER] == str(folder)
    assert not (folder / "counter_1.db").exists(), "of a process that was killed and had this one's number"
    assert (named / "precious").exists(), "never a folder of somebody else"
    (folder / "counter_1.db").touch()
    metrics_folder.make_folder(tmp_path, inherited=True)
    assert (folder / "counter_1.db").exists(), "a parent that hands over passes its numbers on"
    (folder / "counter_1.db").unlink()
    (folder / f"gauge_livesum_{os.getpid()}.db").touch()
    (folder / f"counter_{os.getpid()}.db").touch()
    metrics_folder.worker_is_gone(os.getpid())
    assert not list(folder.glob(f"*_{os.getpid()}*"))
    metrics_folder.remove_folder()
    assert not folder.exists()
    metrics_folder.worker_is_gone(7)  # nothing to do, and no error
    metrics_folder.remove_folder()


@pytest.mark.skipif(not metrics_folder.MEMORY.is_dir(), reason="only Linux has a folder in memory")
def test_a_folder_whose_parents_are_gone_is_removed_by_the_next_server_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_folder, "MEMORY", tmp_path)
    monkeypatch.setenv(metrics.FOLDER, "")
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, passed_on, living = (metrics_folder.folder_of(tmp_path, pid) for pid in (ended.pid, 2**22 + 1, 1))
    for folder in (dead, passed_on, living):
        folder.mkdir()
    (passed_on / "1.heir").touch()
    metrics_folder.make_folder(tmp_path)
    assert [folder.exists() for folder in (dead, passed_on, living)] == [False, True, True]


@pytest.mark.skipif(not metrics_folder.MEMORY.is_dir(), reason="only Linux has a folder in memory")
@pytest.mark.parametrize("last", ["99999999999999999999", "1²", "", "-1"])
@pytest.mark.parametrize("heir", ["99999999999999999999.heir", "x.heir", ".heir", None])
def test_folders_with_strange_names_stop_no_server(
    last: str, heir: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_folder, "MEMORY", tmp_path)
    monkeypatch.setenv(metrics.FOLDER, "")
    own = metrics_folder.folder_of(tmp_path)
    strange = tmp_path / f"{own.name.rpartition('-')[0]}-{last}"
    strange.mkdir()
    if heir:
        (strange / heir).touch()
    metrics_folder.make_folder(tmp_path)
    assert os.environ[metrics.FOLDER] == str(own)


@pytest.mark.skipif(not metrics_folder.MEMORY.is_dir() or os.geteuid() != 0, reason="only root gives a folder away")
def test_folders_of_other_users_are_left_alone_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_folder, "MEMORY", tmp_path)
    monkeypatch.setenv(metrics.FOLDER, "")
    others = metrics_folder.folder_of(tmp_path, 2**22 + 1), metrics_folder.folder_of(tmp_path)
    for folder in others:
        folder.mkdir()
        os.chown(folder, 65534, 65534)
    removed: list[Path] = []
    monkeypatch.setattr(metrics_folder.shutil, "rmtree", lambda folder, **_: removed.append(folder))  # of no effect
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    metrics_folder.make_folder(tmp_path)
    used = Path(os.environ[metrics.FOLDER])
    assert (used.is_dir(), used in others) == (True, False)
    assert others[0] not in removed


TWO_WORKERS = """
import os
from app.platform.metrics import RequestMetrics
counted = RequestMetrics()
for worker in range(2):
    if os.fork() == 0:
        for _ in range(10 + worker):
            counted.observe("GET", "/", "200", 0.01)
        os._exit(0)
    os.wait()
print(counted.exposition().decode())
"""


@pytest.mark.skipif(os.name == "nt", reason="fork")
def test_any_worker_answers_for_all(tmp_path: Path) -> None:
    environment = os.environ | {metrics.FOLDER: str(tmp_path)}
    command = [sys.executable, "-c", TWO_WORKERS]
    output = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert samples(output, "http_requests_total") == {("GET", "/", "200"): 21}


def test_a_collector_that_fails_takes_nothing_else_with_it(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Metric]:
        raise RuntimeError("the database is down")

    counted = RequestMetrics([broken, lambda: [GaugeMetricFamily("fine", "", value=7)]])
    counted.observe("GET", "/", "200", 0.01)
    text = counted.exposition().decode()
    assert "fine 7.0" in text
    assert samples(text, "http_requests_total") == {("GET", "/", "200"): 1}
    assert "the database is down" in caplog.text


def test_counts_that_can_not_be_read_whole_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    (tmp_path / "counter_1.db").touch()  # never filled
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    monkeypatch.setattr(metrics.time, "sleep", lambda seconds: None)
    assert client.get("/metrics").status_code == 503
