"""The table that events travel through where there is no Redis: a history of some minutes, read by every process."""

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import NEVER_REUSED, Key, Model


class StoredEvent(Model):
    """Keys are in the order in which the transactions commit; bus.py beside this file sees to it."""

    __tablename__ = "events"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    channel: Mapped[str] = mapped_column(String(64))
    data: Mapped[str] = mapped_column(Text)
    created: Mapped[float]  # seconds since 1970
