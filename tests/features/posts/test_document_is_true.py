"""The OpenAPI document against the server: requests made from it, good and bad, get the answers that it promises."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis.engine import events, from_schema
from schemathesis.transport.wsgi import WSGITransport
from sqlalchemy import text

from app.api import contract, operations, scopes
from app.extensions import db
from app.platform.database import write_unit
from tests.features.api.programs import program
from tests.features.auth.people import add_user

EXAMPLES = 25  # for each operation; 300 find no more, and take a minute
# Schemathesis' own lists, and what they lack: of a version that has changed, and of an address that is too long.
EXPECTED: dict[str, list[int | str]] = {
    "positive_data_acceptance": ["2xx", "3xx", 401, 403, 404, 409, 412, 429, "5xx"],
    "negative_data_rejection": [400, 401, 403, 404, 405, 406, 409, 412, 414, 415, 422, 428, 429, "5xx"],
}
# Without values from earlier answers: as they change, Hypothesis takes the state machine for flaky, and soon ends it.
PHASES = {name: {"extra-data-sources": {"responses": False}} for name in ("examples", "coverage", "fuzzing")}
KEEP_OWN_TOKEN = """
CREATE TRIGGER keep_own_token BEFORE DELETE ON tokens WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END
"""


@dataclass
class Findings:
    faults: list[str] = field(default_factory=list)
    scenarios: Counter[str] = field(default_factory=Counter)  # by phase
    answered: Counter[str] = field(default_factory=Counter)  # answers with 2xx, by operation
    requests: int = 0
    checks: int = 0

    def add(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.faults.append(str(event))
        if not isinstance(event, events.ScenarioFinished):
            return
        self.scenarios[event.phase.value] += 1
        for case, exchange in event.recorder.interactions.items():
            self.requests += 1
            if exchange.response and exchange.response.status_code < 300 and case in event.recorder.cases:
                self.answered[event.recorder.cases[case].value.operation.label] += 1
        for case, checks in event.recorder.checks.items():
            self.checks += len(checks)
            sent = event.recorder.interactions[case].request
            for failure in (check.failure_info.failure for check in checks if check.failure_info):
                self.faults.append(f"{sent.method} {sent.uri} {sent.headers} {sent.body!r}: {failure}")


def look_for_faults(app: Flask, examples: int) -> Findings:
    """Runs all checks of Schemathesis with a token of all scopes, which the run must not revoke when it finds it."""
    token = program(app, add_user(app), *scopes(app)).authorization
    with app.app_context(), write_unit():
        db.session.execute(text(KEEP_OWN_TOKEN))
    expected = {name: {"expected-statuses": statuses} for name, statuses in EXPECTED.items()}
    findings = Findings()
    for number in (
        examples,
        4 * examples,
    ):  # answers hold times and random ids, so now and then one operation is missed
        settings = {"max-examples": number, "deterministic": True, "database": "none"}
        config = {"headers": token, "generation": settings, "checks": expected, "phases": PHASES}
        api = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=schemathesis.Config.from_dict(config))
        for event in from_schema(api).execute():
            findings.add(event)
        if len(findings.answered) == len(operations(app)):
            break
    return findings


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of writes; and no options for a network, over which ignored_auth of Schemathesis 4.32.5 stumbles."""
    send = WSGITransport.send

    def send_in_process(self: Any, case: Any, **options: Any) -> Any:
        for name in ("max_redirects", "verify", "cert"):
            options.pop(name, None)
        return send(self, case, **options)

    monkeypatch.setattr(WSGITransport, "send", send_in_process)
    monkeypatch.setattr(contract.WRITES, "count", 10**9)


@pytest.mark.no_cover  # thousands of requests, whose lines others execute, too: measured, they take twice as long
@pytest.mark.usefixtures("patient")
def test_the_server_answers_as_the_document_says(app: Flask) -> None:
    findings = look_for_faults(app, EXAMPLES)
    assert findings.faults == []
    assert len(findings.answered) == len(operations(app)), "some operation was never asked for something good"
    assert findings.scenarios["stateful"] >= EXAMPLES // 2, "the state machine has ended early"
