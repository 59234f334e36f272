"""One decorator for an operation of the API: who may call it, what it reads, what it answers."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, Response, request, url_for

from app.api.reader import Strict, read_body, read_query, receive_body
from app.extensions import csrf
from app.platform.errors import AppError
from app.platform.limits import Limit
from app.platform.security import UNSAFE_METHODS
from app.tokens import CHALLENGE, identify

WRITES = Limit("API writes", 120, 60)  # for one user


@dataclass(frozen=True)
class Operation:
    """What the document says of a view; read from its attribute `operation`."""

    answer: type[Strict] | None
    status: int
    body: type[Strict] | None
    query: type[Strict] | None
    scope: str | None
    for_users: bool
    headers: tuple[str, ...]  # request headers that it reads
    summary: str


def endpoint(
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    answer: type[Strict] | None = None,
    status: int = 200,
    body: type[Strict] | None = None,
    query: type[Strict] | None = None,
    scope: str | None = None,
    for_users: bool = False,
    headers: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The view gets `caller`, where one is needed (`for_users` or a `scope`), and `body` and `query`, where declared.

    It returns the values of `answer`, or None for 204; with a tuple, response headers too.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def operation(**arguments: Any) -> Response:
            if request.method in UNSAFE_METHODS:
                receive_body()
            caller = identify()
            if scope or for_users:
                if caller is None:
                    raise AppError("Log in, or send a token: `Authorization: Bearer …`.", 401, headers=CHALLENGE)
                if scope:
                    caller.require(scope)
                if request.method in UNSAFE_METHODS:
                    WRITES.take(f"user:{caller.user.id}")
                arguments["caller"] = caller
            if query:
                arguments["query"] = read_query(query)
            if body:
                arguments["body"] = read_body(body)
            result = view(**arguments)
            values, extra = result if isinstance(result, tuple) else (result, {})
            return _answer(answer, values, status, extra)

        about, answered = (view.__doc__ or "").strip(), status if answer else 204
        described = Operation(answer, answered, body, query, scope, bool(scope) or for_users, headers, about)
        operation.operation = described  # type: ignore[attr-defined]
        operation.is_guard = described.for_users  # type: ignore[attr-defined]  # for `flask doctor`
        blueprint.add_url_rule(path, view.__name__, operation, methods=[method], strict_slashes=True)
        csrf.exempt(operation)  # identify() asks for the token where a cookie counts
        return operation

    return decorate


def _answer(model: type[Strict] | None, values: Any, status: int, headers: dict[str, str]) -> Response:
    if model is None:
        return Response(status=204, headers=headers)
    # Checked on the way out as well: what the document does not describe never leaves.
    response = Response(model.model_validate(values).model_dump_json(), status, headers, mimetype="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.update(("Authorization", "Cookie"))
    if request.method in {"GET", "HEAD"}:
        if "ETag" not in response.headers:
            response.add_etag()
        response.make_conditional(request)
    return response


def expected_version() -> int | None:
    """The version that If-Match names; None without the header, or for any. What is no version of ours matches none."""
    given = request.headers.get("If-Match", "*").strip()
    if given == "*":
        return None
    match = re.fullmatch(r'"([0-9]{1,18})"', given, re.ASCII)
    return int(match[1]) if match else -1


def idempotency_key() -> str | None:
    """What tells a request that is sent again from another one; None without the header. Raises AppError 422."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch("[!-~]{1,64}", key):
        raise AppError("Idempotency-Key: 1 to 64 visible ASCII characters.", 422)
    return key


def link_to_next(**arguments: Any) -> dict[str, str]:
    """The header for a list that goes on, at this address with these arguments changed."""
    address = url_for(request.endpoint or "", **(request.args.to_dict() | arguments))
    return {"Link": f'<{address}>; rel="next"'}


def operations(app: Flask) -> list[tuple[str, str, str, Operation]]:
    """(path, method, endpoint, operation), sorted by path."""
    found: list[tuple[str, str, str, Operation]] = []
    for rule in app.url_map.iter_rules():
        if described := getattr(app.view_functions[rule.endpoint], "operation", None):
            (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found.append((re.sub(r"<[^:>]+:(\w+)>", r"{\1}", rule.rule), method, rule.endpoint, described))
    return sorted(found, key=lambda operation: operation[:2])


def scopes(app: Flask) -> list[str]:
    """All that the endpoints of all features ask for."""
    return sorted({operation.scope for *_, operation in operations(app) if operation.scope})
