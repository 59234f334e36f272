"""What readers get: pages of posts, one post, the popular ones; and how often a post was read."""

import logging
from typing import Any

from flask import Flask, after_this_request, current_app
from sqlalchemy import Select, select, update
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from app.auth.models import User
from app.extensions import LAST_KEY, cache, db
from app.platform.cache import remembered
from app.platform.database import write_unit
from app.platform.errors import AppError
from app.posts import search
from app.posts.models import Post

PAGE = 20  # posts on a page of the list
POPULAR = "popular posts"  # the key in the cache
Row = dict[str, Any]
_PAUSE = 60  # seconds between two times that the views of a post are written to the database
_log = logging.getLogger("groundwork.posts")
_SHOWN: Select[*tuple[Any, ...]] = select(
    Post.id, Post.title, Post.body, Post.image, Post.views, Post.version, Post.created_at, Post.updated_at,
    Post.author_id, User.name.label("author"),
).outerjoin(User, User.id == Post.author_id)  # fmt: skip


def page(before: int = LAST_KEY, query: str = "", limit: int = PAGE) -> tuple[list[Row], int | None]:
    """The newest posts before a key, with their authors; and the key to go on with, or None.

    A keyset page costs the same however far back it is (https://use-the-index-luke.com/no-offset).
    """
    wanted = search.words(query)
    if query and not wanted:
        return [], None
    for condition in search.conditions(wanted, before, limit + 1) if wanted else [Post.id < before]:
        found = _rows(_SHOWN.where(condition).order_by(Post.id.desc()).limit(limit + 1))
        if len(found) > limit:
            break
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def post(post_id: int) -> Row:
    """A post as it is in the database. Raises AppError 404."""
    if not (found := _rows(_SHOWN.where(Post.id == post_id))):
        raise AppError("There is no such post. It may have been deleted.", 404)
    return found[0]


def cached_post(post_id: int) -> Row:
    """A post, read anew every 10 minutes or after an edit."""
    return dict(remembered(cache_key(post_id), 600, lambda: post(post_id)))


def popular() -> list[Row]:
    """The posts that were read most, as they were up to 5 minutes ago."""
    most = _SHOWN.where(Post.views > 0).order_by(Post.views.desc()).limit(10)
    return list(remembered(POPULAR, 300, lambda: _rows(most)))


def cache_key(post_id: int) -> str:
    return f"post {post_id}"


def _rows(statement: Select[*tuple[Any, ...]]) -> list[Row]:
    return [dict(row) for row in db.session.execute(statement).mappings()]


def count_view(post_id: int) -> None:
    """Counts in the cache; once a minute one of the workers writes the count down, after its answer."""
    cache.cache.inc(f"views {post_id}")
    if cache.add(f"views {post_id} written", True, timeout=_PAUSE):
        app = current_app._get_current_object()  # type: ignore[attr-defined]

        @after_this_request
        def write_afterwards(response: Response) -> Response:
            response.call_on_close(lambda: write_views(app, post_id))
            return response


def write_views(app: Flask, post_id: int) -> None:
    """Adds the views counted in the cache to the post's own, in a transaction of their own; none is lost."""
    counter = f"views {post_id}"
    if not (views := cache.get(counter)):
        return
    cache.cache.dec(counter, views)
    try:
        with app.app_context(), write_unit():
            db.session.execute(update(Post).where(Post.id == post_id).values(views=Post.views + views))
    except SQLAlchemyError as error:  # the answer is on its way already
        cache.cache.inc(counter, views)
        _log.warning("views are not written yet: %s", error)
