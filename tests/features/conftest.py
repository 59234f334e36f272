"""A visitor with a browser's manners: reads the form, sends its token back, keeps cookies."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.features.letters import add_letters


class Visitor:
    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def send(self, path: str, form_at: str | None = None, **fields: Any) -> TestResponse:
        """Posts the form on the page `form_at` (else `path`) to `path`."""
        page = self.get(form_at or path).text
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
        assert token, "there is no form on this page"
        return self.client.post(path, data={"csrf_token": token[1]} | fields)


@pytest.fixture
def visitor(client: FlaskClient) -> Visitor:
    return Visitor(client)


@pytest.fixture
def letters(app: Flask) -> list[str]:
    """The texts that were sent to the small feature of tests/features/letters.py, which `app` then has."""
    return add_letters(app)
