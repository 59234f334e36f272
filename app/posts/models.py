from datetime import datetime

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.platform.database import UtcDateTime, utc_now

TITLE_LENGTH = 200  # characters
BODY_LENGTH = 20_000
# SQLite counts rows by itself only in an INTEGER key; elsewhere 2^31 posts would not be enough for ever.
Key = BigInteger().with_variant(Integer, "sqlite")


class Post(Model):
    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    body: Mapped[str] = mapped_column(Text)
    applause: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
