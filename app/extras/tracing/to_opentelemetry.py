"""Spans for an OpenTelemetry collector, over OTLP/HTTP. Names follow OpenTelemetry's semantic conventions."""

import logging
from typing import Any

from flask import Flask
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.extras.tracing.spans import Seldom, Tracer
from app.platform import logs
from app.platform.version import version
from config import Config

TIMEOUT = 5  # s for one try to send
_incoming = TraceContextTextMapPropagator()


class OpenTelemetry(Tracer):
    def __init__(self, settings: Config) -> None:
        self._settings = settings

    def start(self, app: Flask) -> None:
        settings = self._settings
        url = str(settings.OTEL_EXPORTER_OTLP_ENDPOINT).rstrip("/")
        headers = settings.OTEL_EXPORTER_OTLP_HEADERS
        pairs = [pair.partition("=") for pair in headers.get_secret_value().split(",")] if headers else []
        exporter = OTLPSpanExporter(
            endpoint=url if url.endswith("/v1/traces") else f"{url}/v1/traces",
            headers={name.strip(): value.strip() for name, _, value in pairs} or None,
            timeout=TIMEOUT,
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.OTEL_TRACES_SAMPLER_ARG)),
            resource=Resource.create({"service.name": settings.APP_NAME, "service.version": version()}),
            shutdown_on_exit=False,  # Tracing.end() has a limit
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer("groundwork")
        trace.set_tracer_provider(self._provider)  # for a feature's own spans
        Seldom("opentelemetry")
        for handler in logging.getLogger().handlers:
            handler.addFilter(_with_trace_id)
        if settings.REDIS_URL:
            from opentelemetry.instrumentation.redis import RedisInstrumentor

            # Without a look at versions: it only knows those that were there when it was released.
            RedisInstrumentor().instrument(tracer_provider=self._provider, skip_dep_check=True)

    def request(self, environ: dict[str, Any]) -> "OpenSpan":
        carrier = {name: environ.get(f"HTTP_{name.upper()}", "") for name in ("traceparent", "tracestate")}
        attributes = {
            "http.request.method": environ["REQUEST_METHOD"],
            "url.path": environ.get("PATH_INFO", ""),
            "url.scheme": environ["wsgi.url_scheme"],
            "client.address": environ.get("REMOTE_ADDR", ""),
            "request.id": logs.request_id.get(),
        }
        parent = _incoming.extract(carrier, context.Context())
        return OpenSpan(self._tracer, environ["REQUEST_METHOD"], trace.SpanKind.SERVER, attributes, parent)

    def job(self, name: str) -> "OpenSpan":
        attributes = {"request.id": logs.request_id.get()}
        return OpenSpan(self._tracer, name, trace.SpanKind.CONSUMER, attributes, context.Context())

    def statement(self, word: str, text: str, system: str, database: str) -> "OpenSpan | None":
        if not trace.get_current_span().is_recording():
            return None
        attributes = {"db.system.name": system, "db.namespace": database, "db.query.text": text}
        return OpenSpan(self._tracer, word, trace.SpanKind.CLIENT, attributes)

    def end(self) -> None:
        self._provider.force_flush(2000)


class OpenSpan:
    """What is begun until its end is below it."""

    def __init__(self, tracer: Any, name: str, kind: trace.SpanKind, attributes: Any, parent: Any = None) -> None:
        self._span = tracer.start_span(name, parent, kind=kind, attributes=attributes)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def end(self, status: int = 0, route: str = "", error: str = "") -> None:
        span = self._span
        if status:
            span.set_attribute("http.response.status_code", status)
        if route:
            span.set_attribute("http.route", route)
            span.update_name(f"{span.name} {route}")
        if error or status >= 500:
            span.set_attribute("error.type", error or str(status))
            span.set_status(trace.StatusCode.ERROR)
        span.end()
        context.detach(self._token)


def _with_trace_id(record: logging.LogRecord) -> bool:
    """The line in the log and the trace are found from one another."""
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        record.trace_id = f"{found.trace_id:032x}"
    return True
