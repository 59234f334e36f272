"""The table of jobs: what is to be done, is being done, was done lately, and what failed for good."""

import secrets
from datetime import datetime

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Model
from app.platform.database import UtcDateTime, utc_now

QUEUED, RUNNING, DONE, PARKED = "queued", "running", "done", "parked"


class Job(Model):
    """The row is the job: it is written with what it belongs to, and nothing else has to remember it."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_next", "state", "due"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=lambda: secrets.token_hex(16))  # not guessed
    task: Mapped[str] = mapped_column(String(150))
    arguments: Mapped[str] = mapped_column(Text, default="[]")
    tick: Mapped[str | None] = mapped_column(String(200), unique=True)  # of a periodic task: its name and the moment
    state: Mapped[str] = mapped_column(String(10), default=QUEUED)
    due: Mapped[float]  # seconds since 1970
    attempts: Mapped[int] = mapped_column(default=0)
    deaths: Mapped[int] = mapped_column(default=0)  # of processes that did it; they are among the attempts
    started: Mapped[float | None]  # the last attempt, in seconds since 1970
    worker: Mapped[str | None] = mapped_column(String(16), index=True)  # who runs it
    progress: Mapped[int] = mapped_column(default=0)  # percent
    said: Mapped[str] = mapped_column(String(200), default="")
    error: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(64), default="-")  # of the request that asked for it
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
