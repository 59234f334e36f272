"""Every error as a page for people and as problem+json (RFC 9457) for programs, never a traceback.

Features raise `AppError("what happened, what to do", status)`; everything else that goes wrong ends here too.
"""

import errno
import json
import logging
from html import escape
from http.client import responses
from typing import Any

from flask import Flask, Response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, InternalServerError

from app.extensions import db
from app.platform.logs import request_id

PROBLEM = "application/problem+json"
RETRY_AFTER = {429: "60", 503: "5"}  # seconds
# RFC 9110's, which Python has from 3.13 on: what serves must not decide how an error is called.
_NAMES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
_HINTS = {
    400: "The request was not understood. Go back, reload the page and try again.",
    403: "You are not allowed to see this page.",
    404: "There is nothing at this address. It may have been moved or deleted.",
    405: "This address does not take that kind of request.",
    413: "What was sent is too large.",
    415: "This address does not read that kind of content.",
    422: "What was sent is well formed, but has values that can not be used.",
    429: "Too many requests in a short time. Wait a moment, then try again.",
    500: "Something went wrong on our side. It has been logged; please try again later.",
    501: "This server can not do that.",
    503: "We are busy or under repair. Please try again in a moment.",
    507: "The server has no room left to store this.",
}
_EXPIRED = "Its session ended, or your browser sends no cookies. Go back, reload the page and send it again."
_NOT_MIGRATED = frozenset({"42P01", "42703"})  # PostgreSQL: no such table, no such column
_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows knows no quota
_KEPT_HEADERS = frozenset({"Allow", "Content-Range", "Retry-After", "WWW-Authenticate"})
_log = logging.getLogger("groundwork.errors")


class AppError(Exception):
    """An error with an answer: a sentence for the user and an HTTP status. More fields appear in problem+json."""

    def __init__(self, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.fields = fields


def init_app(app: Flask) -> None:
    app.register_error_handler(AppError, lambda error: error_response(error.status, error.message, **error.fields))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, lambda _: error_response(400, _EXPIRED, title="This form has expired"))
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(PoolTimeout, _database_error)
    app.register_error_handler(OSError, _disk_error)
    app.register_error_handler(InternalServerError, _unexpected)


def error_response(status: int, detail: str = "", headers: Any = (), **fields: Any) -> Response:
    """The answer for `status`, in the form the client reads. A field `title` replaces the status' own name."""
    detail = detail or _HINTS.get(status, "")
    if wants_problem(request.environ):
        response = Response(_problem(status, detail, **fields), status, mimetype=PROBLEM)
    else:
        response = Response(_page(status, detail, fields.get("title") or title(status)), status, mimetype="text/html")
    response.headers.extend(headers)
    if status in RETRY_AFTER:
        response.headers.setdefault("Retry-After", RETRY_AFTER[status])
    response.headers["Cache-Control"] = "no-store"
    return response


def wants_problem(environ: dict[str, Any]) -> bool:
    """Programs get problem+json: everything below /api/, and who accepts JSON but not HTML."""
    if environ.get("PATH_INFO", "").startswith("/api/"):
        return True
    accept = environ.get("HTTP_ACCEPT", "")
    return "json" in accept and "text/html" not in accept


def title(status: int) -> str:
    return _NAMES.get(status) or responses.get(status, "Error")


def bare_error(environ: dict[str, Any], status: int, detail: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status line, headers and body for an error that Flask never sees: no template, no session, no database."""
    if wants_problem(environ):
        content_type, body = PROBLEM, _problem(status, detail)
    else:
        content_type, body = "text/html; charset=utf-8", _bare_page(status, detail)
    data = body.encode()
    headers = [("Content-Type", content_type), ("Content-Length", str(len(data))), ("Cache-Control", "no-store")]
    if status in RETRY_AFTER:
        headers.append(("Retry-After", RETRY_AFTER[status]))
    return f"{status} {title(status)}", headers, data


def _problem(status: int, detail: str, **fields: Any) -> str:
    return json.dumps(
        {"type": "about:blank", "title": title(status), "status": status, "detail": detail}
        | fields
        | {"request_id": request_id.get()}
    )


def _bare_page(status: int, detail: str) -> str:
    heading = escape(f"{status} {title(status)}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        f"<h1>{heading}</h1><p>{escape(detail)}</p><p>Request {escape(request_id.get())}</p></html>"
    )


def _page(status: int, detail: str, heading: str) -> str:
    try:
        values = {"status": status, "title": heading, "detail": detail, "request_id": request_id.get()}
        return render_template("error.html", **values)
    except Exception:  # the layout may be what is broken
        _log.exception("the error page could not be rendered")
        return _bare_page(status, detail)


def _http_error(error: HTTPException) -> Any:
    if error.response is not None or (error.code or 500) < 400:
        return error  # redirects, and answers that somebody made whole
    status = error.code or 500
    custom = error.description if error.description != type(error).description else None
    kept = [(name, value) for name, value in error.get_headers() if name in _KEPT_HEADERS]
    return error_response(status, custom or "", kept)


def _unexpected(error: InternalServerError) -> Response:
    # Flask has logged the exception with its traceback already, with this request's id.
    return error_response(500)


def _disk_error(error: OSError) -> Response:
    if error.errno not in _NO_ROOM:
        raise error
    _log.error("the disk has no room left: %s", error)
    return error_response(507)


def _database_error(error: Exception) -> Response:
    db.session.rollback()
    text = str(getattr(error, "orig", error))
    if "disk is full" in text or "No space left" in text:
        _log.error("the database has no room left: %s", text)
        return error_response(507)
    if "readonly database" in text or "read-only" in text:
        _log.error("the database can not be written: %s", text)
        return error_response(503, "This can not be saved right now: the database can only be read.")
    not_migrated = getattr(getattr(error, "orig", None), "sqlstate", "") in _NOT_MIGRATED
    if not_migrated or isinstance(error, OperationalError | PoolTimeout):
        # Not reachable, locked for too long, pool exhausted, or not migrated: all of them pass or are mended.
        _log.error("the database did not answer: %s", text)
        return error_response(503, "The database does not answer right now. Please try again in a moment.")
    _log.exception("a database statement failed", exc_info=error)
    return error_response(500)
