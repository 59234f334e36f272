from typing import Any

import pytest
from flask import Flask

from tests.features.api.books import add_books
from tests.features.api.programs import Program, program
from tests.features.auth.conftest import compared_once  # noqa: F401
from tests.features.auth.people import add_user


@pytest.fixture
def books(app: Flask) -> list[dict[str, Any]]:
    """The books that came in at the small feature of books.py, which `app` then has."""
    return add_books(app)


@pytest.fixture
def ada(app: Flask) -> int:
    """The key of a user."""
    return add_user(app)


@pytest.fixture
def with_tokens(app: Flask, ada: int) -> Program:
    """A program of Ada's that may make and revoke tokens."""
    return program(app, ada, "tokens:write")
