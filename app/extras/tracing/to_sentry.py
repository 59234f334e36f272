"""Errors for Sentry or GlitchTip: each ERROR of the log with its traceback and request id, nothing of the visitor's.

No local variables, bodies, cookies or query strings leave the house; what is left is masked like the log.
"""

import logging
from typing import Any

import sentry_sdk
from flask import Flask, has_request_context, request
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger

from app.extras.tracing.spans import Seldom, Tracer
from app.platform import logs
from app.platform.version import version
from config import Config


class Sentry(Tracer):
    def __init__(self, settings: Config) -> None:
        self._settings = settings

    def start(self, app: Flask) -> None:
        dsn = self._settings.SENTRY_DSN
        seldom = Seldom("sentry_sdk.errors")

        def is_not_ours(record: logging.LogRecord) -> bool:
            """urllib3 tells each retry; the application may use it, too."""
            if not str(record.threadName).startswith("sentry"):
                return True
            seldom.handle(record)
            return False

        logging.getLogger("urllib3.connectionpool").addFilter(is_not_ours)
        for name in ("groundwork.tracing", "gunicorn.error"):
            ignore_logger(name)
        sentry_sdk.init(
            dsn=dsn.get_secret_value() if dsn else None,
            release=version(),
            environment=self._settings.APP_ENV,
            default_integrations=False,  # they patch whatever is installed, and cost 100 us a request
            auto_enabling_integrations=False,
            integrations=[LoggingIntegration(level=None, event_level="ERROR"), DedupeIntegration()],
            send_default_pii=False,
            include_local_variables=False,  # they hold passwords
            max_request_body_size="never",
            before_send=_finish,
            shutdown_timeout=2,
        )

    def end(self) -> None:
        sentry_sdk.flush(2)


def _finish(event: Any, hint: dict[str, Any]) -> Any:
    """In the thread that logged it."""
    event.setdefault("tags", {})["request_id"] = logs.request_id.get()
    event.pop("breadcrumbs", None)
    event.get("logentry", {}).pop("params", None)  # what they are, the text around them says, which is masked
    if has_request_context():
        event["request"] = {"method": request.method, "url": request.base_url}  # no query string
        event["transaction"] = request.url_rule.rule if request.url_rule else request.path
    return _masked(event)


def _masked(value: Any, name: object = "") -> Any:
    if logs.mask(f"{name}=x") != f"{name}=x":  # what is called a password is one, whatever it looks like
        return "***"
    if isinstance(value, dict):
        return {key: _masked(part, key) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(part) for part in value]
    return logs.mask(value) if isinstance(value, str) else value
