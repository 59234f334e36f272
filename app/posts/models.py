from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import NEVER_REUSED, Key, Model
from app.platform.database import UtcDateTime, utc_now

TITLE_LENGTH = 200  # characters
BODY_LENGTH = 20_000


class Post(Model):
    """The migration adds an index of the words in `title` (app/posts/search.py), which no model describes."""

    __tablename__ = "posts"
    __table_args__ = (UniqueConstraint("author_id", "request_key"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    author_id: Mapped[int | None] = mapped_column(Key, ForeignKey("users.id", ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    body: Mapped[str] = mapped_column(Text)
    image: Mapped[str | None] = mapped_column(String(40))  # the name of an upload
    views: Mapped[int] = mapped_column(default=0, index=True)  # for the popular ones
    version: Mapped[int] = mapped_column(default=1)  # one more with each edit; the ETag of the API
    request_key: Mapped[str | None] = mapped_column(String(64))  # a form or request sent twice makes one post
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
