"""The OpenAPI 3.1 document, made from the views themselves, so that it can not say something else than they do."""

import re
from typing import Any

from flask import Flask, request
from pydantic.json_schema import models_json_schema

from app.api import Operation, Strict, operations
from app.extensions import LAST_KEY
from app.platform.errors import PROBLEM
from app.platform.security import UNSAFE_METHODS
from app.platform.version import version

ROOT = "/api/v1"
_HEADERS = {
    "If-Match": ("The ETag that the thing must still have.", {"type": "string", "pattern": r'^("[0-9]{1,18}"|\*)$'}),
    "If-None-Match": ("The ETag of the answer that is known already.", {"type": "string"}),
    "Idempotency-Key": (
        "Sent again with the same key, the request makes nothing new.",
        {"type": "string", "pattern": "^[!-~]{1,64}$"},
    ),
}
_REASONS = {
    304: "Not changed since If-None-Match", 400: "Not understood", 401: "Nobody is logged in, or the token is wrong",
    403: "The token lacks the scope, or the page is not ours", 404: "There is no such thing, for this caller",
    409: "Sent before, with something else",
    412: "Changed meanwhile", 413: "Too large", 414: "The address is too long", 415: "No JSON",
    422: "Some values can not be used", 429: "Too many in a short time", 503: "Try again in a moment",
}  # fmt: skip
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {name: {"type": "string"} for name in ("type", "title", "detail", "request_id")}
    | {
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {name: {"type": "string"} for name in ("field", "message")}},
        },
    },
}


def openapi(app: Flask) -> dict[str, Any]:
    title = str(app.jinja_env.globals["app_name"])
    described = operations(app)
    parts = {part for *_, op in described for part in (op.answer, op.body) if part}
    modes = [(part, "validation") for part in sorted(parts, key=lambda part: part.__name__)]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for path, method, endpoint, operation in described:
        paths.setdefault(path.removeprefix(ROOT) or "/", {})[method.lower()] = _described(
            path, method, endpoint, operation
        )
    cookie = app.session_interface.get_cookie_name(app)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version()},
        "servers": [{"url": f"{request.script_root}{ROOT}"}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}) | {"Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


def _described(path: str, method: str, endpoint: str, operation: Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0, "maximum": LAST_KEY}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    for name, schema in (operation.query.model_json_schema()["properties"] if operation.query else {}).items():
        parameters.append({"name": name, "in": "query", "schema": schema})
    sent = (*operation.headers, "If-None-Match") if method == "GET" else operation.headers
    for name in sent:
        description, schema = _HEADERS[name]
        parameters.append({"name": name, "in": "header", "description": description, "schema": schema})
    text: dict[str, Any] = {
        "operationId": endpoint,
        "summary": operation.summary.partition("\n")[0],
        "parameters": parameters,
        "responses": {str(operation.status): _success(operation)} | _errors(path, method, operation),
        "security": [{"token": []}, {"session": []}] if operation.for_users else [{}, {"token": []}, {"session": []}],
    }
    if operation.scope:
        text["description"] = f"A token needs the scope `{operation.scope}`."
    if operation.body:
        text["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(operation.body)}},
        }
    return text


def _success(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": "Done"}
    return {"description": "As asked", "content": {"application/json": {"schema": _reference(operation.answer)}}}


def _errors(path: str, method: str, operation: Operation) -> dict[str, Any]:
    statuses = {401, 503}
    statuses |= {304} if method == "GET" else set()
    statuses |= {400, 422} if operation.query or operation.body else set()
    statuses |= {413, 415} if operation.body else set()
    statuses |= {404, 414} if "{" in path else set()
    statuses |= {414} if operation.query else set()
    statuses |= {412} if "If-Match" in operation.headers else set()
    statuses |= {409, 422} if "Idempotency-Key" in operation.headers else set()
    statuses |= {400, 403, 429} if operation.for_users and method in UNSAFE_METHODS else set()
    problem = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {str(s): {"description": _REASONS[s]} | (problem if s >= 400 else {}) for s in sorted(statuses)}


def _reference(model: type[Strict]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
