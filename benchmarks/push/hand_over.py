"""Streams while a server hands over (USR2, as scripts/reload.sh does it) and stops.

Bar: closed within 1 s, back within 3 s at different moments, no event missed.

python -m benchmarks.push.hand_over [--worker gevent] [--pages 60]
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.servers import flask, gunicorn
from tests.servers.push.listening import Page, publishing
from tests.servers.running import wait_until


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", default="gevent")
    parser.add_argument("--pages", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        instance, pages = Path(folder), list[Page]()
        flask(instance, "db", "upgrade")
        options = ["-k", arguments.worker, "-w", "2", "--pid", f"{folder}/pid"]
        with gunicorn(instance, *options, application="wsgi:app", LOG_LEVEL="WARNING", THREADS=80) as server:
            try:
                pages += [Page(server.port, ("websocket", "stream")[number % 2]) for number in range(arguments.pages)]
                wait_until(lambda: all(page.opened for page in pages), 60)
                publisher = publishing(instance, 300, pause=0.05)
                time.sleep(2)
                os.kill(server.process.pid, signal.SIGUSR2)
                wait_until((instance / "pid.2").exists, 30)
                successor = int((instance / "pid.2").read_text())
                time.sleep(2)
                told = time.monotonic()
                server.process.terminate()
                wait_until(lambda: all(len(page.opened) > 1 for page in pages), 30)
                publisher.wait(60)
                wait_until(lambda: all(len(page.numbers) >= 300 for page in pages), 30)
                stopped = time.monotonic()
                os.kill(successor, signal.SIGTERM)
                wait_until(lambda: all(len(page.ended) > 1 for page in pages), 30)
            finally:
                for page in pages:
                    page.close()
    closed = max(page.ended[0] - told for page in pages)
    stop = max(page.ended[1] - stopped for page in pages)
    away = sorted(page.opened[1] - page.ended[0] for page in pages)
    whole = sum(page.numbers == list(range(300)) for page in pages)
    print(
        f"{len(pages)} streams: closed after at most {closed:.2f} s, at the stop {stop:.2f} s (bar: 1); back after "
        f"{away[0]:.1f} to {away[-1]:.1f} s, median {statistics.median(away):.1f} (bar: 3); {whole} missed nothing"
    )
    return 0 if max(closed, stop) <= 1 and away[-1] <= 3 and whole == len(pages) else 1


if __name__ == "__main__":
    raise SystemExit(main())
