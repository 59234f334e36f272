from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import NEVER_REUSED, Key, Model
from app.platform.database import UtcDateTime, utc_now

NAME_LENGTH = 30  # characters
NAME = rf"[a-z0-9][a-z0-9_-]{{2,{NAME_LENGTH - 1}}}\Z"


def lowered(name: str | None) -> str:
    """A name as it is stored, from what somebody typed."""
    return (name or "").strip().lower()


class User(Model):
    __tablename__ = "users"
    __table_args__ = NEVER_REUSED

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    password_hash: Mapped[str] = mapped_column(String(128))
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class Device(Model):
    """A log-in: the row of a session. Without it the cookie that names it is worth nothing."""

    __tablename__ = "devices"
    __table_args__ = NEVER_REUSED

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    user_id: Mapped[int] = mapped_column(Key, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    agent: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(45))  # as long as an IPv6 address gets
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
