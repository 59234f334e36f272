"""The site behind a notice: 503 with Retry-After for all but admins and the log-in page, before Flask does any work.

Probes, metrics and static files are answered further out. `/ready` stays 200, or an orchestrator would end the server.
"""

import functools
import logging
from collections.abc import Iterable
from time import monotonic
from typing import Any

from flask import Flask, render_template

from app.extras.live_settings.live import Live
from app.extras.live_settings.schema import Maintenance
from app.platform.errors import bare_error, wants_problem
from app.platform.gateway import Environ, WsgiApp

ADMIN = "groundwork.maintenance_admin"  # key in the WSGI environment
_log = logging.getLogger("groundwork.live_settings")


def in_front_of(application: WsgiApp, app: Flask, live: Live) -> WsgiApp:
    """`application` behind the switch; while that is off it costs one comparison of times."""

    @functools.lru_cache(maxsize=16)  # one for each prefix below which the site is reached
    def page(maintenance: Maintenance, prefix: str) -> bytes:
        with app.test_request_context(base_url=f"http://localhost{prefix}"):  # so that nothing of a visitor is kept
            return render_template("live_settings/maintenance.html", text=maintenance.text).encode()

    def closed(environ: Environ, start_response: Any) -> Iterable[bytes]:
        maintenance = live.now.maintenance
        status, headers, body = bare_error(environ, 503, maintenance.text)
        if not wants_problem(environ):
            body = page(maintenance, environ.get("SCRIPT_NAME", ""))
        headers = [pair for pair in headers if pair[0] not in {"Retry-After", "Content-Length"}]
        headers += [("Retry-After", str(maintenance.retry_after)), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def switch(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if monotonic() >= live.next_look:
            live.look_if_due()
        if live.closed and not _gets_in(app, environ):
            return closed(environ, start_response)
        return application(environ, start_response)

    return switch


def _gets_in(app: Flask, environ: Environ) -> bool:
    """Features name the paths that stay open in app.extensions["open_in_maintenance"]."""
    if environ.get("PATH_INFO", "") in app.extensions.get("open_in_maintenance", ()):
        return True
    if "HTTP_COOKIE" not in environ:
        return False
    try:
        with app.request_context(environ):
            environ[ADMIN] = bool(app.extensions.get("is_admin", bool)())
    except Exception as error:  # the database may be what is being mended
        _log.warning("in maintenance, and who is an admin can not be said: %s", error)
        return False
    return bool(environ[ADMIN])
