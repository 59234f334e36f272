"""What Prometheus is told of the queue, read from the table at each scrape: all machines that share it say the same."""

import time
from collections.abc import Iterable

from flask import Flask
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select, text

from app.extensions import db
from app.extras.jobs.models import PARKED, QUEUED, RUNNING, Job

PATIENCE = 2000  # ms for each question to PostgreSQL: a scrape is given up after 10 s, with all that is in it


def collect(app: Flask) -> Iterable[Metric]:
    """Raises SQLAlchemyError."""
    with app.app_context(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = {PATIENCE}"))
        counted = select(Job.state, func.count()).where(Job.state.in_((QUEUED, RUNNING, PARKED))).group_by(Job.state)
        counts = {state: count for state, count in connection.execute(counted)}  # noqa: C416  # rows are no pairs to mypy
        overdue = select(func.min(Job.due)).where(Job.state == QUEUED, Job.due <= time.time())
        oldest = connection.scalar(overdue)
    jobs = GaugeMetricFamily("jobs", "Jobs that wait, that are at work, and that failed for good.", labels=["state"])
    for state in (QUEUED, RUNNING, PARKED):
        jobs.add_metric([state], counts.get(state, 0))
    age = max(time.time() - oldest, 0) if oldest else 0
    meaning = "For how long the job that waits longest has been due."
    return [jobs, GaugeMetricFamily("jobs_oldest_due_age_seconds", meaning, value=age)]
