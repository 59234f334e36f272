"""A visitor with a browser's manners: reads the form, sends its token back, keeps cookies."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.extensions import db
from app.platform.database import utc_now, write_unit
from app.posts.models import Post


def stored(app: Flask) -> list[Post]:
    """All posts, oldest first."""
    with app.app_context():
        return list(db.session.scalars(select(Post).order_by(Post.id)))


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
def add_posts(app: Flask) -> Callable[..., None]:
    """`add_posts(3)`: posts 1 to 3, titled "Post 1" to "Post 3", an hour apart."""

    def add(count: int, **values: Any) -> None:
        with app.app_context(), write_unit():
            for number in range(1, count + 1):
                made = utc_now() - timedelta(hours=count - number)
                db.session.add(Post(**{"title": f"Post {number}", "body": "Some text.", "created_at": made} | values))

    return add
