from typing import Annotated, Any

from flask import Blueprint, url_for
from pydantic import AwareDatetime, Field, StringConstraints

from app.api import Strict, endpoint, expected_version, idempotency_key, link_to_next
from app.extensions import LAST_KEY
from app.fields import VISIBLE
from app.posts import reading, writing
from app.posts.models import BODY_LENGTH, TITLE_LENGTH
from app.tokens import Caller

WRITE = "posts:write"
Title = Annotated[str, StringConstraints(max_length=TITLE_LENGTH, pattern=VISIBLE)]
Body = Annotated[str, StringConstraints(max_length=BODY_LENGTH, pattern=VISIBLE)]

blueprint = Blueprint("api_posts", __name__)


class PostIn(Strict):
    title: Title
    body: Body


class PostChanges(Strict):
    title: Title = Field(default_factory=str)
    body: Body = Field(default_factory=str)


class PostOut(Strict):
    id: int
    title: str
    body: str
    author: str | None = Field(description="Null when the account was removed.")
    image: str | None = Field(description="The address of the image.")
    version: int
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Posts(Strict):
    items: list[PostOut]


class PostsQuery(Strict):
    before: int = Field(default=LAST_KEY, ge=1, le=LAST_KEY, description="Only posts with a smaller key.")
    limit: int = Field(default=20, ge=1, le=100)
    q: str = Field(default="", max_length=200, description="Words of the title.")


@endpoint(blueprint, "GET", "", answer=Posts, query=PostsQuery)
def posts(query: PostsQuery) -> Any:
    """Posts, the newest first; the Link header leads on."""
    found, older = reading.page(query.before, query.q.strip(), query.limit)
    return {"items": [_shown(post) for post in found]}, link_to_next(before=older) if older else {}


@endpoint(blueprint, "GET", "/<key:post_id>", answer=PostOut)
def post(post_id: int) -> Any:
    """One post."""
    return _with_version(post_id)


@endpoint(blueprint, "POST", "", answer=PostOut, status=201, body=PostIn, scope=WRITE, headers=("Idempotency-Key",))
def create_post(caller: Caller, body: PostIn) -> Any:
    """Publish a post."""
    post_id, _ = writing.create(caller.user, idempotency_key(), **body.model_dump())
    return _with_version(post_id, Location=url_for("api_posts.post", post_id=post_id))


@endpoint(blueprint, "PUT", "/<key:post_id>", answer=PostOut, body=PostIn, scope=WRITE, headers=("If-Match",))
def replace_post(caller: Caller, post_id: int, body: PostIn) -> Any:
    """Write one of my posts anew."""
    writing.change(post_id, caller.user, expected_version(), **body.model_dump())
    return _with_version(post_id)


@endpoint(blueprint, "PATCH", "/<key:post_id>", answer=PostOut, body=PostChanges, scope=WRITE, headers=("If-Match",))
def change_post(caller: Caller, post_id: int, body: PostChanges) -> Any:
    """Change a part of one of my posts."""
    writing.change(post_id, caller.user, expected_version(), **body.model_dump(exclude_unset=True))
    return _with_version(post_id)


@endpoint(blueprint, "DELETE", "/<key:post_id>", scope=WRITE, headers=("If-Match",))
def remove_post(caller: Caller, post_id: int) -> None:
    """Remove one of my posts."""
    writing.remove(post_id, caller.user, expected_version())


def _with_version(post_id: int, **headers: str) -> tuple[dict[str, Any], dict[str, str]]:
    found = reading.post(post_id)
    return _shown(found), {"ETag": f'"{found["version"]}"', **headers}


def _shown(row: reading.Row) -> dict[str, Any]:
    image = row["image"] and url_for("uploads.image", name=row["image"])
    return {name: row[name] for name in PostOut.model_fields} | {"image": image}
