"""What counting costs a connection that is taken from the pool and given back: in turns, as machines are busy.

.venv/bin/python -m benchmarks.gauges.pool
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import QueuePool

TIMES, ROUNDS = 3000, 15


def microseconds(folder: Path) -> dict[str, float]:
    """With SQLAlchemy's own pool and with ours: CPU time, the median of the rounds."""
    from app import create_app  # not above: the client decides at its import where it counts
    from app.extensions import db
    from app.extras.gauges.pool import CountingPool
    from config import TestingConfig

    app = create_app(TestingConfig(INSTANCE_PATH=folder, DATABASE_URL=f"sqlite:///{folder}/app.db"))
    found: dict[str, list[float]] = {"plain": [], "counting": []}
    with app.app_context():
        pool = db.engine.pool
        for _ in range(ROUNDS):
            for name, kind in (("plain", QueuePool), ("counting", CountingPool)):
                pool.__class__ = kind
                started = time.thread_time()
                for _ in range(TIMES):
                    pool.connect().close()
                found[name].append((time.thread_time() - started) / TIMES * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # as under a server with several workers
        print(", ".join(f"{name}: {value:.1f} us" for name, value in microseconds(Path(folder)).items()))
