"""What an error costs the request that fails, with and without error mail.

.venv/bin/python -m benchmarks.mail.cost
"""

import statistics
import tempfile
from pathlib import Path

from benchmarks.servers import flask, gunicorn
from tests.servers.running import get

MAILED = {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": 1, "MAIL_FROM": "shop@example.com", "ADMINS": "ops@example.com"}


def microseconds(**settings: object) -> float:
    """Of one logged exception, the median of 20 requests that log 50 each."""
    with tempfile.TemporaryDirectory() as folder:
        flask(Path(folder), "db", "upgrade")
        with gunicorn(Path(folder), application="benchmarks.mail.failing:app", WORKERS=1, **settings) as site:
            return statistics.median(float(get(site.port, "/fail/50")[2]) for _ in range(20))


if __name__ == "__main__":
    without, mailed = microseconds(), microseconds(**MAILED)
    print(f"an error in the log: {without:.0f} us; and mailed: {mailed:.0f} us")
