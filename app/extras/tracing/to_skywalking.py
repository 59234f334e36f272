"""Segments for SkyWalking, by its own agent; what is in them is said here, and none of the agent's plugins is used.

From Python 3.12 on the agent (1.2.0) does not get its plugins to work, and they know neither SQLAlchemy nor routes.
"""

import atexit
import os
import socket
from typing import Any

from flask import Flask
from skywalking import Component, Layer, agent, config
from skywalking.trace import tags
from skywalking.trace.carrier import Carrier
from skywalking.trace.context import get_context

from app.extras.tracing.spans import Seldom, Tracer
from app.platform import logs
from config import Config


class TagRequestId(tags.Tag):  # type: ignore[misc]
    key = "request.id"


class SkyWalking(Tracer):
    def __init__(self, settings: Config) -> None:
        config.init(
            agent_collector_backend_services=settings.SW_AGENT_COLLECTOR_BACKEND_SERVICES,
            agent_name=settings.APP_NAME,
            agent_disable_plugins=".*",
            agent_log_reporter_active=False,  # it sends log lines as they are, secrets too
            agent_meter_reporter_active=False,  # Prometheus has them
            agent_profile_active=False,
            agent_logging_level="WARNING",
        )

    def start(self, app: Flask) -> None:
        config.agent_instance_name = f"{socket.gethostname()}-{os.getpid()}"
        Seldom("skywalking", "grpc")
        agent.agent.start()
        # Its own end waits without limit for a collector that is away.
        atexit.unregister(agent.agent._SkyWalkingAgent__fini)

    def request(self, environ: dict[str, Any]) -> "Segment":
        carrier = Carrier()
        for item in carrier:
            item.val = environ.get(f"HTTP_{item.key.upper().replace('-', '_')}", "")
        path = environ.get("PATH_INFO", "")
        span = get_context().new_entry_span(op=path or "/", carrier=carrier)
        method, host = environ["REQUEST_METHOD"], environ.get("HTTP_HOST", "")
        url = f"{environ['wsgi.url_scheme']}://{host}{path}"
        seen = (tags.TagHttpMethod(method), tags.TagHttpURL(url), TagRequestId(logs.request_id.get()))
        return Segment(span, Layer.Http, Component.Flask, *seen, method=method)

    def job(self, name: str) -> "Segment":
        span, identity = get_context().new_entry_span(op=name), TagRequestId(logs.request_id.get())
        return Segment(span, Layer.Unknown, Component.Unknown, identity)

    def statement(self, word: str, text: str, system: str, database: str) -> "Segment | None":
        if not (active := get_context().active_span):
            return None
        span = active.context.new_exit_span(op=f"{system}/{word}", peer=f"{system}:{database}")
        component = Component.PostgreSQL if system == "postgresql" else Component.Unknown
        seen = (tags.TagDbType(system), tags.TagDbInstance(database), tags.TagDbStatement(text))
        return Segment(span, Layer.Database, component, *seen)

    def end(self) -> None:
        agent.agent.stop()


class Segment:
    def __init__(self, span: Any, layer: Layer, component: Component, *seen: tags.Tag, method: str = "") -> None:
        self._span, self._method = span, method
        span.start()  # it forgets what it was told before
        span.layer, span.component = layer, component
        for tag in seen:
            span.tag(tag)

    def end(self, status: int = 0, route: str = "", error: str = "") -> None:
        if status:
            self._span.tag(tags.TagHttpStatusCode(status))
        if route:
            self._span.op = f"{self._method}:{route}"
        self._span.error_occurred = bool(error) or status >= 500
        self._span.stop()
