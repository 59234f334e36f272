"""Traces and errors for OpenTelemetry, SkyWalking and Sentry, each where its variable is set, else not even imported.

None of them may stop the application, or delay an answer: what is missing or broken is one line in the log.
"""

import importlib
import logging

from flask import Flask

from app.extras.tracing.spans import Tracer, Tracing
from config import Config

_BACKENDS = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("to_opentelemetry", "OpenTelemetry", "otel"),
    "SW_AGENT_COLLECTOR_BACKEND_SERVICES": ("to_skywalking", "SkyWalking", "skywalking"),
    "SENTRY_DSN": ("to_sentry", "Sentry", "sentry"),
}
_log = logging.getLogger("groundwork.tracing")


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    tracers: list[Tracer] = []
    for variable, (module, name, requirements) in _BACKENDS.items():
        if not getattr(settings, variable):
            continue
        try:  # imported here, before the fork: all workers share it
            tracers.append(getattr(importlib.import_module(f"app.extras.tracing.{module}"), name)(settings))
        except ImportError as error:
            _log.error(
                "%s is set, but nothing is traced: %s. Install it: scripts/start.sh does, or "
                "pip install --require-hashes -r requirements-%s.txt", variable, error, requirements,
            )  # fmt: skip
        except Exception:
            _log.exception("%s is set, but nothing is traced", variable)
    if tracers:
        tracing = Tracing(app, tracers)
        # Inside of the gateway, which answers health checks, and of what serves files: neither is traced.
        app.wsgi_app = tracing.wrap(app.wsgi_app)  # type: ignore[method-assign]
        app.extensions["around_job"] = tracing.around_job
        app.extensions["at_exit"] = [*app.extensions.get("at_exit", []), tracing.end]
