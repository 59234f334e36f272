"""What Gunicorn's master and 4 workers occupy after load on four pages. Bar: 160 MiB PSS in total. Linux only.

PSS counts a page that several processes share only once, so the sum is what the machine really gives.

    python -m benchmarks.memory
"""

import re
import tempfile
from pathlib import Path

from benchmarks.load import Load
from benchmarks.servers import WORK, flask, gunicorn

BAR = 160  # MiB
PAGES = ("/", "/about", "/counters/", "/counters/1")


def pss(pid: int) -> float:
    match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) / 1024


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        flask(instance, "make-counters", application=WORK)
        with gunicorn(instance, "-w", "4", LOG_LEVEL="WARNING") as server:
            for page in PAGES:
                result = Load(server.port, page, keep_alive=8, close=8, think=0).run_for(1.5)
                print(f"{page:<12} {result}")
            workers = [pss(pid) for pid in server.children()]
            master = pss(server.process.pid)
    total = master + sum(workers)
    each = ", ".join(f"{worker:.0f}" for worker in workers)
    print(f"master {master:.0f} MiB + workers {each} MiB = {total:.0f} MiB PSS (bar: {BAR} MiB)")
    return 0 if total <= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
