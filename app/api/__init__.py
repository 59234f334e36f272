"""The API for programs: strict about what it reads, exact about what it answers.

A feature adds its part with `@endpoint` on a blueprint below /api/v1; the OpenAPI document then has it too.
"""

from flask import Flask

from app.api.contract import (
    Operation,
    endpoint,
    expected_version,
    idempotency_key,
    link_to_next,
    operations,
    scopes,
)
from app.api.reader import Strict
from app.api.views import blueprint

__all__ = [
    "Operation",
    "Strict",
    "endpoint",
    "expected_version",
    "idempotency_key",
    "init_app",
    "link_to_next",
    "operations",
    "scopes",
]


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/api/v1")
