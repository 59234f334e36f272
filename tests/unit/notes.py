"""A table of no feature, for tests that need one: on metadata of its own, so that no migration has to make it."""

from datetime import datetime

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.extensions import db
from app.platform.database import UtcDateTime, utc_now

FIRST = "0123456789ab"  # the migration that makes the table
CREATE_NOTES = f"""
import sqlalchemy as sa
from alembic import op

revision = "{FIRST}"
down_revision = None


def upgrade():
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade():
    op.drop_table("notes")
"""


class Model(DeclarativeBase):
    pass


class Note(Model):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    stars: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


def make_table() -> None:
    """In the database of the application whose context this is."""
    Model.metadata.create_all(db.engine)
