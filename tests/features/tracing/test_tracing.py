"""What is missing or broken of tracing is a line in the log, and never in the way of a request."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app.extensions import db
from app.extras.tracing.spans import Seldom, Tracing

VARIABLES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    "SW_AGENT_COLLECTOR_BACKEND_SERVICES": "127.0.0.1:1",
    "SENTRY_DSN": "http://key@127.0.0.1:1/1",
}


class Broken:
    """A tracer that fails where it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.ended: list[dict[str, Any]] = []

    def step(self, name: str) -> Any:
        if name == self.where:
            raise RuntimeError(f"{name} of the tracer is broken")
        return BrokenSpan(self)

    def start(self, app: Flask) -> None:
        self.step("start")

    def request(self, environ: dict[str, Any]) -> Any:
        return self.step("request")

    def job(self, name: str) -> Any:
        return self.step("job")

    def statement(self, *_: str) -> Any:
        return self.step("statement")

    def end(self) -> None:
        """Of the process."""


class BrokenSpan:
    def __init__(self, tracer: Broken) -> None:
        self._tracer = tracer

    def end(self, **how: Any) -> None:
        self._tracer.ended.append(how)
        self._tracer.step("end")


def traced(app: Flask, tracer: Broken) -> FlaskClient:
    app.wsgi_app = Tracing(app, [tracer]).wrap(app.wsgi_app)  # type: ignore[method-assign]
    return app.test_client()


@pytest.mark.parametrize("where", ["start", "request", "statement", "end"])
def test_a_broken_tracer_stops_no_request(where: str, app: Flask) -> None:
    app.add_url_rule("/asks", view_func=ask_the_database)
    assert traced(app, Broken(where)).get("/asks").status_code == 200


def ask_the_database() -> str:
    return str(db.session.scalar(text("SELECT 1")))


def test_a_span_ends_with_status_and_route_when_the_answer_is_sent(app: Flask) -> None:
    tracer = Broken("nowhere")
    with traced(app, tracer).get("/no-such-page"):
        pass
    assert tracer.ended == [{"status": 404, "route": ""}]


def test_a_job_that_fails_ends_its_span_and_fails(app: Flask) -> None:
    tracer = Broken("nowhere")
    with pytest.raises(LookupError), Tracing(app, [tracer]).around_job("shop.pack"):
        raise LookupError
    assert tracer.ended == [{"error": "LookupError"}]


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the packages is installed, whatever this environment has."""
    for name in ("opentelemetry", "skywalking", "sentry_sdk"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_missing_package_is_told_with_its_remedy_and_the_site_serves(
    variable: str, make_app: Callable[..., Flask], capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(**{variable: VARIABLES[variable]})
    said = capfd.readouterr().err
    assert f"{variable} is set, but nothing is traced" in said
    assert "-r requirements-" in said
    assert "Traceback" not in said
    assert app.test_client().get("/health").status_code == 200


def test_an_agent_that_repeats_itself_is_heard_once(caplog: pytest.LogCaptureFixture) -> None:
    Seldom("an_agent")
    for _ in range(100):
        logging.getLogger("an_agent.exporter").error("password=hunter2, the collector does not answer\nTraceback")
    assert [record.getMessage() for record in caplog.records] == [
        "traces may be lost: an_agent.exporter: password=***, the collector does not answer (and 0 more such lines)"
    ]
