"""What authors do with their posts, the same for the pages and for the API."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.auth.models import User
from app.extensions import db
from app.platform.cache import forget
from app.platform.database import utc_now, write_unit
from app.platform.errors import AppError
from app.platform.events import publish
from app.posts.models import Post
from app.posts.reading import POPULAR, cache_key
from app.uploads import kept_on_success, remove_image


def create(author: User, request_key: str | None, **values: Any) -> tuple[int, bool]:
    """The key of the new post, and True; or of the one that this author has made with this `request_key`, and False."""
    post = Post(author_id=author.id, request_key=request_key, **values)
    try:
        with kept_on_success(values.get("image")), write_unit():
            db.session.add(post)
            db.session.flush()
            publish("posts", {"id": post.id, "title": post.title})
            return post.id, True
    except IntegrityError:
        earlier = db.session.scalar(select(Post).filter_by(author_id=author.id, request_key=request_key))
        if earlier is None:
            raise
    if (earlier.title, earlier.body) != (post.title, post.body):
        raise AppError(f"This was sent before with another text, and became post {earlier.id}. Edit that one.", 409)
    return earlier.id, False


def change(post_id: int, author: User, version: int | None = None, **values: Any) -> None:
    """Raises AppError 404 when the author has no such post, 412 when it is not at `version`."""
    with kept_on_success(values.get("image")), write_unit():
        post = _own(post_id, author, version)
        replaced = post.image if values.get("image", post.image) != post.image else None
        for name, value in values.items():
            setattr(post, name, value)
        post.version += 1
        post.updated_at = utc_now()
    forget(cache_key(post_id))
    remove_image(replaced)


def remove(post_id: int, author: User, version: int | None = None, or_admin: bool = False) -> None:
    """As change(); an admin may remove everybody's, where that is meant."""
    with write_unit():
        post = _own(post_id, author, version, or_admin)
        image = post.image
        db.session.delete(post)
    forget(cache_key(post_id))
    forget(POPULAR)
    remove_image(image)


def _own(post_id: int, user: User, version: int | None, or_admin: bool = False) -> Post:
    """To others it is as if there were no such post: 404, not 403."""
    post = db.session.get(Post, post_id, with_for_update=True)
    if post is None or (post.author_id != user.id and not (or_admin and user.is_admin)):
        raise AppError("There is no such post of yours.", 404)
    if version not in {None, post.version}:
        raise AppError("The post was changed meanwhile. Read it again, then try again.", 412)
    return post
