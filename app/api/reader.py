"""Reads what a program sends, and nothing that could be meant otherwise: one type, one meaning, known fields only."""

import json
import re
from typing import Any, NoReturn, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError

from app.platform.errors import AppError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20


class Strict(BaseModel):
    """Base of what the API reads and writes: no field that is not named, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True)


Model = TypeVar("Model", bound=Strict)


def receive_body() -> None:
    """Before the database is asked anything: a client that sends slowly must not hold a connection to it.

    Raises AppError 413.
    """
    if (request.content_length or 0) > MAX_BYTES or len(request.get_data()) > MAX_BYTES:  # or sent in chunks
        raise AppError(f"The body is larger than {MAX_BYTES} bytes.", 413)


def read_body(model: type[Model]) -> Model:
    """The request's JSON object as `model`. Raises AppError: 415 type, 400 no JSON, 422 wrong values."""
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise AppError("Send application/json, without a content encoding.", 415)
    return _checked(model, _parsed(request.get_data()))


def read_query(model: type[Model]) -> Model:
    """The query as `model`. Raises AppError: 400 when a name comes twice, 422 for wrong values."""
    values: dict[str, Any] = {}
    for name, (value, *others) in request.args.lists():
        if others:
            raise AppError(f"{name} is given more than once.", 400)
        field = model.model_fields.get(name)
        is_number = field is not None and field.annotation is int
        values[name] = int(value) if is_number and re.fullmatch(r"-?[0-9]{1,20}", value, re.ASCII) else value
    return _checked(model, values)


def _parsed(data: bytes) -> Any:
    try:
        text = data.decode("utf-8")
        if _depth(text) > MAX_DEPTH:
            raise AppError(f"The JSON is nested more than {MAX_DEPTH} deep.", 400)
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ones, and integers of 5000 digits
        raise AppError(f"The body is no valid JSON: {error}", 400) from None


def _depth(text: str) -> int:
    """How deep brackets are nested, at most; those in texts do not count. Before parsing, which would recurse."""
    deepest = depth = 0
    # A text may lack its end: were it searched again from each quote inside, 256 KiB of \" would take minutes.
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', text):
        depth += 1 if bracket in "[{" else -1 if bracket in "]}" else 0
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name comes twice in an object")
    return dict(pairs)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    if (number := float(digits)) in {float("inf"), float("-inf")}:
        raise ValueError("a number is too large")
    return int(number) if number.is_integer() else number  # to JSON Schema, 7.0 is an integer too


def _checked(model: type[Model], values: Any) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [
            {"field": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"]}
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise AppError("Some values can not be used; `errors` says which and why.", 422, errors=faults) from None
