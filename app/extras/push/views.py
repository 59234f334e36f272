"""Connections that stay open: server-sent events (/events), and WebSockets (/ws)."""

import base64
import binascii
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, request

from app.extras.push.hub import Hub
from app.extras.push.streams import EventStream
from app.platform.errors import AppError
from config import Config

PAUSE = {"Retry-After": "30"}  # s
NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

blueprint = Blueprint("push", __name__)


@blueprint.get("/events")
def stream() -> Response:
    """Server-sent events. 204, at which a browser stops trying, where there is no room: the page then asks."""
    channels, begin = current_app.extensions["subscription"]()
    hub: Hub = current_app.extensions["push"]
    if request.method == "HEAD":
        return Response(mimetype="text/event-stream", headers=NO_STORE)
    number = begin()
    if not (subscriber := hub.subscribe(channels, request.environ)):
        return Response(status=204, headers=NO_STORE | (PAUSE if hub.streams else {}))
    return Response(EventStream(hub, subscriber, number), mimetype="text/event-stream", headers=NO_STORE)


@blueprint.get("/ws", websocket=True)  # other requests get 400 from Werkzeug
def websocket() -> Response:
    from app.extras.push.websocket import Conversation, Taken  # most processes have none

    channels, begin = current_app.extensions["subscription"]()
    hub: Hub = current_app.extensions["push"]
    _check_handshake()
    _check_origin()
    if not hub.streams or "gunicorn.socket" not in request.environ:
        raise AppError("This server keeps no connection open. Ask /events/since.", 501)
    number = begin()
    if not (subscriber := hub.subscribe(channels, request.environ)):
        raise AppError("No other page can be connected right now. Ask /events/since.", 503, headers=PAUSE)
    return Taken(Conversation(hub, subscriber, number, request.environ))


def _check_handshake() -> None:
    """RFC 6455, 4.2.1 and 4.4."""
    if request.headers.get("Sec-WebSocket-Version") != "13":
        raise AppError("Only version 13 of WebSocket is spoken here.", 426, headers={"Sec-WebSocket-Version": "13"})
    try:
        key = base64.b64decode(request.headers.get("Sec-WebSocket-Key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    tokens = {token.strip().lower() for token in request.headers.get("Connection", "").split(",")}
    if len(key) != 16 or "upgrade" not in tokens:
        raise AppError("This is no handshake of a WebSocket.", 400)


def _check_origin() -> None:
    """A browser lets the pages of all sites open WebSockets to us, and says which page it was. Programs say nothing."""
    origin = request.headers.get("Origin")
    settings: Config = current_app.extensions["settings"]
    if origin is None or origin in settings.CORS_ORIGINS:
        return
    try:
        same = _place(origin) == _place(request.host_url)
    except ValueError:
        same = False
    if not same:
        raise AppError("Pages of other sites may not open a WebSocket here.", 403)


def _place(url: str) -> tuple[str, str | None, int | None]:
    """Raises ValueError for what is no URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
