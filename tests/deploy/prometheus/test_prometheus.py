"""A real Prometheus with the shipped files scrapes a real Gunicorn; promtool tests when each alert fires."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT, flask, gunicorn
from tests.deploy import rendering
from tests.servers.running import Running, free_port, get, wait_until

TOKEN = "Qm7xT2vLpW9zRk4sYc8nHf3JdB6gAe5u"
pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="needs Debian's package prometheus")


def promtool(*arguments: str, folder: Path) -> None:
    command = ["promtool", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A folder with the files of deploy/prometheus, where the token is too."""
    base = tmp_path / "site"
    (base / "shared").mkdir(parents=True)
    (base / "shared/metrics-token").write_text(TOKEN)
    for name in ("prometheus.yml", "alerts.yml"):
        rendering.place(f"prometheus/{name}", base / name, base=str(base))
    return base


def test_promtool_finds_no_fault_in_the_configuration_and_the_rules(shipped: Path) -> None:
    promtool("check", "config", "prometheus.yml", folder=shipped)
    promtool("check", "rules", "alerts.yml", folder=shipped)


def test_each_alert_fires_when_it_should_and_only_then(shipped: Path) -> None:
    cases = ROOT / "tests/deploy/prometheus/alerts_test.yml"
    shutil.copy(cases, shipped)
    promtool("test", "rules", cases.name, folder=shipped)
    rules = re.findall(r"- alert: (\w+)", (shipped / "alerts.yml").read_text())
    fires = re.findall(r"alertname: (\w+)\n        exp_alerts", cases.read_text())
    assert sorted(rules) == sorted(set(fires)), "each rule has a case in which it fires"


def test_each_alert_has_a_paragraph_that_says_what_to_do() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    for alert in re.findall(r"- alert: (\w+)", (ROOT / "deploy/prometheus/alerts.yml").read_text()):
        assert f"**{alert}**" in page


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    instance = tmp_path / "instance"
    instance.mkdir()
    flask(instance, "db", "upgrade")
    # Under a name that is not this machine's own, it is the token that counts.
    port = free_port()
    options = ("-w", "3", "--bind", f"127.0.0.2:{port}")
    with gunicorn(instance, *options, application="wsgi:app", METRICS_TOKEN=TOKEN) as running:
        running.target = f"127.0.0.2:{port}"
        yield running


@pytest.fixture
def prometheus(server: Running, shipped: Path) -> Iterator[Running]:
    """Asks that server each second, and judges the shipped rules as often, without their patience."""
    config, alerts = shipped / "prometheus.yml", shipped / "alerts.yml"
    text = config.read_text()
    for said, wanted in (
        ("127.0.0.1:8080", server.target),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("scrape_timeout: 10s", "scrape_timeout: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
    ):
        assert said in text
        text = text.replace(said, wanted)
    config.write_text(text)
    alerts.write_text(re.sub(r"for: \d+m", "for: 1s", alerts.read_text()))
    port = free_port()
    command = ["prometheus", "--config.file", str(config), "--storage.tsdb.path", str(shipped / "data")]
    running = Running([*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], cwd=shipped)
    running.port = port
    try:
        wait_until(lambda: _is_ready(running), 30, lambda: running.output)
        yield running
    finally:
        running.process.terminate()
        running.kill()


def _is_ready(prometheus: Running) -> bool:
    assert prometheus.process.poll() is None, prometheus.output
    try:
        return get(prometheus.port, "/-/ready")[0] == 200
    except OSError:
        return False


def query(prometheus: Running, expression: str) -> list[float]:
    answer = get(prometheus.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))[2]
    return [float(series["value"][1]) for series in json.loads(answer)["data"]["result"]]


def firing(prometheus: Running) -> dict[str, Any]:
    alerts = json.loads(get(prometheus.port, "/api/v1/alerts")[2])["data"]["alerts"]
    return {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}


@pytest.mark.timeout(150)
def test_prometheus_knows_what_was_asked_and_an_alert_fires(prometheus: Running, server: Running) -> None:
    for _ in range(37):
        assert get(server.port, "/about")[0] == 200
    asked = 'http_requests_total{job="groundwork", route="/about", status="200"}'
    wait_until(lambda: query(prometheus, asked) == [37.0], 20, lambda: prometheus.output)
    assert query(prometheus, 'count(http_processes{job="groundwork"})') == [1.0]
    wait_until(lambda: query(prometheus, 'worker_exits_total{reason="unexpected"}') == [0.0], 10)
    wait_until(lambda: not firing(prometheus), 20, lambda: str(firing(prometheus)))  # there was no target at first

    for _ in range(4):
        victim = server.children()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda pid=victim: pid not in server.children(), 10)
        wait_until(lambda: len(server.children()) == 3, 10)
    wait_until(lambda: "WorkersDie" in firing(prometheus), 40, lambda: str(firing(prometheus)))
    assert "died within 15 minutes" in firing(prometheus)["WorkersDie"]["annotations"]["summary"]
    assert query(prometheus, asked) == [37.0], "the dead have not taken their counts along"

    server.process.terminate()
    wait_until(lambda: "TargetDown" in firing(prometheus), 40, lambda: str(firing(prometheus)))


def test_without_the_token_prometheus_gets_nothing(prometheus: Running, shipped: Path) -> None:
    wait_until(lambda: query(prometheus, 'up{job="groundwork"}') == [1.0], 20, lambda: prometheus.output)
    (shipped / "shared/metrics-token").write_text(TOKEN[::-1])
    wait_until(lambda: query(prometheus, 'up{job="groundwork"}') == [0.0], 20, lambda: prometheus.output)
