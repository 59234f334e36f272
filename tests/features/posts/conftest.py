from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.platform.database import utc_now, write_unit
from app.posts.models import Post
from tests.features.auth.conftest import compared_once  # noqa: F401
from tests.features.auth.people import member
from tests.features.conftest import Visitor


def stored(app: Flask) -> list[Post]:
    """All posts, oldest first."""
    with app.app_context():
        return list(db.session.scalars(select(Post).order_by(Post.id)))


@pytest.fixture
def ada(app: Flask) -> Visitor:
    """A visitor who is logged in, and may write."""
    return member(app)


@pytest.fixture
def add_posts(app: Flask) -> Callable[..., None]:
    """`add_posts(3)`: posts 1 to 3, titled "Post 1" to "Post 3", an hour apart."""

    def add(count: int, **values: Any) -> None:
        with app.app_context(), write_unit():
            for number in range(1, count + 1):
                made = utc_now() - timedelta(hours=count - number)
                dates = {"created_at": made, "updated_at": made}
                db.session.add(Post(**{"title": f"Post {number}", "body": "Some text."} | dates | values))

    return add
