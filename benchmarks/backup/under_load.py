"""Makes backups while rows are being written, and restores each. Bar: 15 of 15 are whole and of one moment.

Whole: the database's own check, the row counts of the manifest. Of one moment: of every writer all rows up to one,
which is not before the last that was acknowledged when the backup began, and was asked for before its end.

    python -m benchmarks.backup.under_load [--backups 15] [--megabytes 40] [--database postgresql://…]
"""

import argparse
import contextlib
import json
import re
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks.servers import flask, gunicorn
from benchmarks.writers import ENTRIES, Writers, written


@contextlib.contextmanager
def another_database(folder: Path, url: str | None) -> Iterator[str]:
    """The address of an empty one: a file in `folder`, or beside the database of `url`."""
    if url is None:
        yield f"sqlite:///{folder}/app.db"
        return
    engine = create_engine(url.replace("postgres://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE restored"))
        try:
            yield re.sub(r"/[^/]*$", "/restored", url)
        finally:
            connection.execute(text("DROP DATABASE restored WITH (FORCE)"))
    engine.dispose()


def rows_at(url: str, tables: list[str]) -> dict[str, int]:
    engine = create_engine(url.replace("postgres://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        rows = {name: connection.scalar(text(f'SELECT count(*) FROM "{name}"')) for name in tables}  # noqa: S608
        if engine.name == "sqlite":
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    engine.dispose()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backups", type=int, default=15)
    parser.add_argument("--megabytes", type=int, default=40, help="of other rows, so that a copy takes a while")
    parser.add_argument("--database", help="DATABASE_URL; default: an SQLite file")
    arguments = parser.parse_args()
    settings = {"DATABASE_URL": arguments.database} if arguments.database else {}

    good, seconds, back = 0, [], []
    with tempfile.TemporaryDirectory() as name:
        instance, file = Path(name, "instance"), Path(name, "backup.tar.gz")
        instance.mkdir()
        flask(instance, "db", "upgrade", **settings)
        flask(instance, "make-entries", "--megabytes", str(arguments.megabytes), application=ENTRIES, **settings)
        with (
            gunicorn(instance, "-w", "2", application=ENTRIES, LOG_LEVEL="WARNING", **settings) as server,
            Writers(server.port) as writers,
        ):
            time.sleep(1)
            for number in range(arguments.backups):
                before, started = dict(writers.acknowledged), time.monotonic()
                flask(instance, "backup", str(file), **settings)
                seconds.append(time.monotonic() - started)
                after = dict(writers.asked)
                with tarfile.open(file) as tar:
                    manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
                place = Path(name, f"restored-{number}")
                place.mkdir()
                with another_database(place, arguments.database) as url:
                    started = time.monotonic()
                    flask(place, "restore", str(file), DATABASE_URL=url)
                    back.append(time.monotonic() - started)
                    rows, found = rows_at(url, list(manifest["rows"])), written(url)
                is_of_one_moment = all(before[writer] <= found[writer] <= after[writer] for writer in before)
                good += rows == manifest["rows"] and is_of_one_moment
                print(f"backup {number + 1}: {sum(found.values())} rows, {good} good so far", flush=True)
    refused = {outcome: count for outcome, count in writers.outcomes.items() if outcome != "200"}
    # A connection that the server closed between two requests is no refusal: the same row was sent on another one.
    disconnected = refused.pop("RemoteDisconnected", 0)
    print(
        f"{good} of {arguments.backups} backups of {arguments.megabytes} MB good, beside "
        f"{sum(writers.acknowledged.values())} writes, refused: {refused or 0}, sent again: {disconnected}; "
        f"a backup took {statistics.median(seconds):.1f} s, a restore {statistics.median(back):.1f} s "
        "(bar: all, 0 refused)"
    )
    return 0 if good == arguments.backups and not refused else 1


if __name__ == "__main__":
    raise SystemExit(main())
