"""Sentry and SkyWalking through Gunicorn and `flask worker`, with receivers that read what the real agents send."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment, flask, gunicorn
from tests.servers.running import Running, free_port, wait_until
from tests.servers.tracing.conftest import TRACED, Collector, visit

SECRET = "a-secret-value"
SW8 = "1-TUdZNVpHVTQ=-TUdZNVpHVTQ=-3-c2hvcA==-b25l-L2NhcnQ=-MTI3LjAuMC4x"  # of the service "shop"


def test_sentry_gets_each_error_with_its_request_id_and_nothing_of_the_visitor(
    collector: Callable[..., Collector], packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    receiver = collector("sentry", "sentry")
    flask(tmp_path, "db", "upgrade")
    wanted = {"SENTRY_DSN": f"http://key@127.0.0.1:{receiver.port}/1", "PYTHONPATH": packages_of("sentry")}
    with gunicorn(tmp_path, application=TRACED, WORKERS=2, **wanted) as site:
        _, request_id, _ = visit(
            site.port, "/broken?token=geheim", Cookie="session=abcdef", Authorization="Bearer abcdef"
        )
        visit(site.port, "/bad-statement")
        visit(site.port, "/refused")
        visit(site.port, "/orders/7")
        receiver.wait_for(lambda fields: True, 3)
        (refused,) = receiver.wait_for(lambda fields: fields.get("logger") == "shop")
        (broken,) = receiver.wait_for(lambda fields: "exception" in fields)
    assert broken["exception"]["values"][0]["type"] == "LookupError"
    assert broken["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "broken"
    assert broken["tags"]["request_id"] == request_id
    assert broken["transaction"] == "/broken"
    assert broken["request"] == {"method": "GET", "url": f"http://127.0.0.1:{site.port}/broken"}
    assert refused["logentry"]["message"] == "refused, token=***"
    assert "params" not in refused["logentry"]
    assert (refused["extra"]["order"], SECRET in json.dumps(refused)) == ({"secret": "***"}, False)
    assert len(receiver.received) == 3
    everything = json.dumps(receiver.received)
    assert not [secret for secret in ("geheim", "abcdef", SECRET, '"vars"') if secret in everything]
    assert "hunter2" not in broken["exception"]["values"][0]["value"]


def test_skywalking_gets_requests_with_their_statements_below_them(
    collector: Callable[..., Collector], packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    receiver = collector("skywalking", "skywalking")
    flask(tmp_path, "db", "upgrade")
    wanted = {
        "JOBS": "external",
        "SW_AGENT_COLLECTOR_BACKEND_SERVICES": f"127.0.0.1:{receiver.port}",
        "PYTHONPATH": packages_of("skywalking"),
    }
    with gunicorn(tmp_path, application=TRACED, WORKERS=2, **wanted) as site:
        asked: dict[str, str] = {}
        while len(set(asked.values())) < 2:
            _, request_id, pid = visit(site.port, "/orders/7?token=geheim", sw8=SW8)
            asked[request_id] = pid
        visit(site.port, "/bad-statement")
        spans = receiver.wait_for(lambda fields: fields["name"] == "GET:/orders/<name>", len(asked))
        (failed,) = receiver.wait_for(lambda fields: fields["name"] == "GET:/bad-statement")
        assert {span["attributes"]["request.id"] for span in spans} == set(asked)
        assert {span["references"][0] for span in spans} == {"shop"}
        assert {span["instance"].rpartition("-")[2] for span in spans} == set(asked.values())
        assert failed["error"]
        statements = receiver.wait_for(lambda fields: fields["name"] == "sqlite/SELECT", len(asked) + 1)
        assert {each["trace"] for each in statements if not each["error"]} == {span["trace"] for span in spans}
        post = visit(site.port, "/pack", "POST", **{"Sec-Fetch-Site": "same-origin"})
        site.process.terminate()
        assert site.end(25) == 0
    everything = json.dumps(receiver.received)
    assert not [secret for secret in ("geheim", SECRET, "hunter2") if secret in everything]
    worker = Running(
        [sys.executable, "-m", "flask", "--app", TRACED, "worker"], cwd=ROOT, env=environment(tmp_path, **wanted)
    )
    try:
        (job,) = receiver.wait_for(lambda fields: fields["name"] == "traced.pack")
        assert job["attributes"]["request.id"] == post[1]
    finally:
        worker.kill()


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("skywalking", "SW_AGENT_COLLECTOR_BACKEND_SERVICES", "127.0.0.1:{port}"),
        ("sentry", "SENTRY_DSN", "http://key@127.0.0.1:{port}/1"),
    ],
    ids=["skywalking", "sentry"],
)
def test_a_collector_that_is_away_delays_nothing_and_fills_no_log(
    name: str, variable: str, value: str, worker_class: str, packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    flask(tmp_path, "db", "upgrade")
    away = {variable: value.format(port=free_port()), "PYTHONPATH": packages_of(name), "WORKER_CLASS": worker_class}
    with gunicorn(tmp_path, application=TRACED, WORKERS=1, **away) as site:
        for _ in range(100):
            assert visit(site.port, "/orders/7")[0] == 200
        if name == "skywalking":
            wait_until(lambda: "traces may be lost" in site.output, 30, lambda: site.output)
        else:
            assert visit(site.port, "/broken")[0] == 500
        for _ in range(100):
            assert visit(site.port, "/orders/7")[0] == 200
        noise = [line for line in site.lines if "skywalking" in line or "sentry" in line or "urllib3" in line]
        assert len([line for line in noise if "/broken" not in line]) <= 1, site.output
        site.process.terminate()
        assert site.end(25) == 0
