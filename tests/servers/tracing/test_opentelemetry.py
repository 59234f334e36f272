"""OpenTelemetry through Gunicorn, Waitress and `flask worker`, with a collector that decodes what it gets."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT, environment, flask, gunicorn, running
from tests.servers import services
from tests.servers.running import Running, free_port, get, wait_until
from tests.servers.tracing.conftest import TRACED, Collector, visit

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def settings(collector: Collector, packages: str, **others: object) -> dict[str, object]:
    known = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "PYTHONPATH": packages, "WORKERS": 2}
    return known | {"JOBS": "external", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer abc"} | others


def is_request(fields: dict[str, Any]) -> bool:
    return fields["kind"] == 2  # SPAN_KIND_SERVER


def children(collector: Collector, parent: dict[str, Any]) -> list[dict[str, Any]]:
    found = [fields for fields in collector.received if fields["parent"] == parent["span"]]
    assert all(fields["trace"] == parent["trace"] for fields in found)
    return found


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_each_worker_sends_spans_with_their_statements_below_them(
    worker_class: str, collector: Callable[..., Collector], packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    receiver = collector("otlp", "otel")
    flask(tmp_path, "db", "upgrade")
    wanted = settings(receiver, packages_of("otel"), WORKER_CLASS=worker_class)
    with services.redis() as redis, gunicorn(tmp_path, application=TRACED, **wanted, REDIS_URL=redis) as site:
        asked: dict[str, str] = {}
        while len(set(asked.values())) < 2:  # until both workers have answered
            _, request_id, pid = visit(site.port, "/orders/7?token=geheim", traceparent=f"00-{TRACE}-{PARENT}-01")
            asked[request_id] = pid
        get(site.port, "/health")
        get(site.port, "/ready")
        spans = receiver.wait_for(is_request, len(asked))
        line = json.loads(site.line_with("order looked at"))
    assert {span["attributes"]["request.id"] for span in spans} == set(asked)
    for span in spans:
        assert (span["name"], span["trace"], span["parent"]) == ("GET /orders/<name>", TRACE, PARENT)
        assert (span["service"], span["authorization"]) == ("Groundwork", "Bearer abc")
        assert span["attributes"]["http.response.status_code"] == 200
        below = children(receiver, span)
        (statement,) = (each for each in below if each["name"] == "SELECT")
        assert statement["attributes"]["db.query.text"] == "SELECT count(*) FROM users WHERE name = ?"
        assert any(each["name"] == "GET" for each in below), "the cache, in Redis"
    assert line["trace_id"] == TRACE
    everything = json.dumps(receiver.received)
    assert "geheim" not in everything
    assert "a-secret-value" not in everything
    assert "/health" not in everything
    assert "/ready" not in everything


def test_an_error_is_marked_without_its_text(
    collector: Callable[..., Collector], packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    receiver = collector("otlp", "otel")
    flask(tmp_path, "db", "upgrade")
    with gunicorn(tmp_path, application=TRACED, **settings(receiver, packages_of("otel"))) as site:
        visit(site.port, "/broken?token=geheim")
        visit(site.port, "/bad-statement")
        spans = receiver.wait_for(is_request, 2)
    assert all(span["error"] for span in spans)
    (statement,) = (each for span in spans for each in children(receiver, span) if each["name"] == "SELECT")
    assert (statement["error"], statement["attributes"]["error.type"]) == (True, "OperationalError")
    everything = json.dumps(receiver.received)
    assert not [secret for secret in ("hunter2", "geheim", "a-secret-value") if secret in everything]


def test_waitress_and_the_job_worker_send_theirs_and_the_last_ones_when_they_end(
    collector: Callable[..., Collector], packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    receiver = collector("otlp", "otel")
    flask(tmp_path, "db", "upgrade")
    wanted, port = settings(receiver, packages_of("otel")), free_port()
    code = "import sys; from serving.waitress_server import serve; "
    code += f"sys.exit(serve({TRACED!r}, host='127.0.0.1', port={port}, processes=2, threads=4))"
    with running([sys.executable, "-c", code], tmp_path, port, "/ready", **wanted) as site:
        _, request_id, _ = visit(port, "/pack", "POST", **{"Sec-Fetch-Site": "same-origin"})
        (span,) = receiver.wait_for(is_request)
        assert span["name"] == "POST /pack"
        assert site.process.poll() is None
    command = [sys.executable, "-m", "flask", "--app", TRACED, "worker"]
    worker = Running(command, cwd=ROOT, env=environment(tmp_path, **wanted))
    try:
        worker.line_with("traced.pack is done")
        worker.process.terminate()  # before its spans have gone
        assert worker.end() == 0
        (job,) = receiver.wait_for(lambda fields: fields["name"] == "traced.pack")
    finally:
        worker.kill()
    assert job["attributes"]["request.id"] == request_id
    assert "SELECT 'packed'" in [each["attributes"]["db.query.text"] for each in children(receiver, job)]


def test_a_collector_that_is_away_delays_nothing_and_fills_no_log(
    packages_of: Callable[[str], str], tmp_path: Path
) -> None:
    flask(tmp_path, "db", "upgrade")
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "PYTHONPATH": packages_of("otel")}
    with gunicorn(tmp_path, application=TRACED, WORKERS=1, **away) as site:
        for _ in range(3):
            assert visit(site.port, "/orders/7")[0] == 200
        wait_until(lambda: "traces may be lost" in site.output, 30, lambda: site.output)
        for _ in range(300):
            assert visit(site.port, "/orders/7")[0] == 200
        said = [line for line in site.lines if "opentelemetry" in line or "urllib3" in line or "Traceback" in line]
        assert len(said) == 1, site.output
        site.process.terminate()
        assert site.end(25) == 0  # with 3 s for what will never be sent
