from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Key, Model
from app.platform.database import UtcDateTime, utc_now


class Export(Model):
    """A user's own data, put together by a job. In the database, where every machine finds it."""

    __tablename__ = "exports"

    user_id: Mapped[int] = mapped_column(Key, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    job: Mapped[str | None] = mapped_column(String(32))  # that makes it
    content: Mapped[str | None] = mapped_column(Text)  # JSON, once it is made
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)  # asked for, then made
