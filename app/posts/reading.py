"""What readers get: pages of posts, one post, the popular ones; and how often a post was read."""

import logging
from typing import Any

from flask import after_this_request, copy_current_request_context
from sqlalchemy import Select, select, update
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from app.auth.models import User
from app.extensions import LAST_KEY, cache, db
from app.platform.cache import refresh, remembered
from app.platform.errors import AppError
from app.platform.tasks import periodic, task
from app.posts import search
from app.posts.models import Post

POPULAR = "popular posts"  # the key in the cache
Row = dict[str, Any]
_PAUSE = 60  # seconds for which the views of a post are collected
_log = logging.getLogger("groundwork.posts")
_SHOWN: Select[*tuple[Any, ...]] = select(
    Post.id, Post.title, Post.body, Post.image, Post.views, Post.version, Post.created_at, Post.updated_at,
    Post.author_id, User.name.label("author"),
).outerjoin(User, User.id == Post.author_id)  # fmt: skip


def page(before: int = LAST_KEY, query: str = "", limit: int = 20) -> tuple[list[Row], int | None]:
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
    return list(remembered(POPULAR, 300, _most_read))


def own_posts(user_id: int) -> list[Row]:
    return _rows(_SHOWN.where(Post.author_id == user_id).order_by(Post.id))


def _most_read() -> list[Row]:
    return _rows(_SHOWN.where(Post.views > 0).order_by(Post.views.desc()).limit(10))


def cache_key(post_id: int) -> str:
    return f"post {post_id}"


def _rows(statement: Select[*tuple[Any, ...]]) -> list[Row]:
    return [dict(row) for row in db.session.execute(statement).mappings()]


def count_view(post_id: int) -> None:
    """Counts in the cache; once a minute, after an answer, what was counted becomes a job that writes it down."""
    cache.cache.inc(f"views {post_id}")
    if cache.add(f"views {post_id} asked", True, timeout=_PAUSE):
        hand_over = copy_current_request_context(lambda: hand_over_views(post_id))

        @after_this_request
        def hand_over_afterwards(response: Response) -> Response:
            response.call_on_close(hand_over)
            return response


def hand_over_views(post_id: int) -> None:
    """From this machine's cache to a job, which any machine may do; what can not be handed over waits there."""
    counter = f"views {post_id}"
    if views := cache.get(counter):
        try:
            add_views.later(post_id, views)
            cache.cache.dec(counter, views)
        except SQLAlchemyError as error:  # the answer is on its way already; the next reader asks again
            _log.warning("views are not written yet: %s", error)


@task(atomic=True)
def add_views(post_id: int, views: int) -> None:
    db.session.execute(update(Post).where(Post.id == post_id).values(views=Post.views + views))


@periodic(seconds=240)
def refresh_popular() -> None:
    """Before the list in the cache is out of date, so that no reader waits for it: where machines share a cache."""
    refresh(POPULAR, 300, _most_read)
