"""Deploys, broken deploys and a rollback through nginx, while clients read and write. Bar: 0 failed, each broken one is
refused within 60 s, and every write that was acknowledged is there, once.

    python -m benchmarks.deploys [--deploys 5] [--requests 20000] [--think 0.004]        as root, with nginx
"""

import argparse
import contextlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.load import Load, Request
from tests.deploy.edge import Edge, edge
from tests.deploy.releases.site import Site

SECONDS = 60  # within which a broken release must be refused
WITH_ROWS = """
import secrets

from flask import request

from app.extensions import csrf, db
from app.platform.database import write_unit
from benchmarks.entries import Entry, app

application = app


@app.post("/rows")
@csrf.exempt
def add_row():
    with write_unit():
        db.session.add(Entry(writer=secrets.randbelow(2**62), number=len(request.get_data())))
    return "written"
"""


@contextlib.contextmanager
def deployed_site() -> Iterator[tuple[Site, Edge]]:
    """A first release that serves behind nginx, with a page more that writes a row."""
    with tempfile.TemporaryDirectory(prefix="gw-") as name:
        folder = Path(name)
        run = folder / "run"
        run.mkdir()
        site = Site(folder, folder / "site", 0, run / "web.sock")
        site.commit("rows", wsgi=lambda _: WITH_ROWS)
        try:
            first = site.deploy()
            assert first.returncode == 0, first.stderr
            shutil.chown(run / "web.sock", group="www-data")
            flask = [site.base / "current/.venv/bin/flask", "--app", "wsgi", "make-entries"]
            subprocess.run(flask, cwd=site.base / "current", env=site.environment, check=True, timeout=60)
            with edge(site.base, run) as proxy:
                yield site, proxy
        finally:
            site.stop()


def steps(site: Site, deploys: int) -> Iterator[tuple[str, bool, Callable[[], "subprocess.CompletedProcess[str]"]]]:
    """(what, whether it must succeed, how), in order."""
    for number in range(deploys):
        tag = site.commit(f"good-{number}", config=lambda text: f"{text}\n# another release\n")
        yield f"deploy {number + 1}", True, lambda tag=tag: site.deploy("--ref", tag)
    broken = site.broken("import", app__pages__views=lambda text: f"{text}\nimport nothing_of_this_name\n")
    yield "import error", False, lambda: site.deploy("--ref", broken)
    failing = site.migration("failing", 'op.execute("SELECT 1 FROM nowhere")')
    yield "failing migration", False, lambda: site.deploy("--ref", failing)
    health = "problems: list[str] = []"
    never = site.broken("never", app__platform__health=lambda text: text.replace(health, 'problems = ["never"]'))
    yield "never ready", False, lambda: site.deploy("--ref", never)
    yield "rollback", True, site.rollback


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deploys", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000, help="go on until there were so many")
    parser.add_argument("--think", type=float, default=0.004, help="seconds from an answer to a client's next request")
    arguments = parser.parse_args()
    with deployed_site() as (site, proxy):
        write = Request("POST", "/rows", "a row" * 200)
        wrong = 0
        asked = ("/", "/about", write, "/ready", "/tour/")
        with Load(0, *asked, think=arguments.think, connection=proxy.connection) as load:
            for name, good, act in steps(site, arguments.deploys):
                before, started = site.current, time.monotonic()
                done = act()
                seconds = time.monotonic() - started
                serves = site.ready()["version"]
                as_it_should = (done.returncode == 0) is good and (site.current != before) is good
                as_it_should &= serves == site.current and (good or seconds < SECONDS)
                wrong += not as_it_should
                verdict = "as it should" if as_it_should else f"NOT as it should: {done.stderr}"
                print(f"{name:18} {seconds:5.1f} s, exit code {done.returncode}, {serves} serves: {verdict}")
            deadline = time.monotonic() + 300
            while load.result.answered < arguments.requests and time.monotonic() < deadline:
                time.sleep(0.2)
        errors = proxy.errors()
        with contextlib.closing(sqlite3.connect(site.base / "shared/instance/app.db")) as database:
            (rows,) = database.execute("SELECT count(*) FROM benchmark_entries").fetchone()
    acknowledged = load.result.methods["POST"]
    lost = acknowledged != rows
    print(f"{acknowledged} writes acknowledged, {rows} in the database")
    print(f"{wrong} steps went wrong: {load.result} (bar: 0 failed)")
    if load.result.failed:
        print(errors[-4000:])
    return 1 if wrong or lost or load.result.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
