"""The list of posts and the search in 1,000 and in 1,000,000 posts, on SQLite and on PostgreSQL.

Titles have words as a language has them: one in 20 % of them, most in a few; and some words that are hard to search
for: only in old posts, never together, a rare one before the beginning of a common one. What is timed is the whole
answer of the application, in this process, alternating between the two sizes. Bars, of the medians: a page of the list
costs at most 1.5 times as much in a million posts, a search 3 times; no answer takes 0.5 s.

    python -m benchmarks.posts.million [--rows 1000000] [--database sqlite|postgresql|both]

A million posts take 1.5 GB of disk, and both databases 2 minutes.
"""

import argparse
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from flask import Flask

from app import create_app
from app.extensions import cache, db
from benchmarks.servers import flask
from config import TestingConfig
from tests.servers.services import postgres

FEW = 1000
ROUNDS = 51
LIST_BAR, SEARCH_BAR, HARD_BAR = 1.5, 3.0, 0.5  # times, times, seconds
AUTHORS = 5
COLUMNS = ("id", "author_id", "title", "body", "views", "version", "created_at", "updated_at")
MADE = "2026-01-01 00:00:00.000000"
BODY = "A text as long as the beginning of a post that is shown in the list, and some more. " * 4
OFTEN = ("server", "with", "data", "service", "from", "python", "network", "queue")
SYLLABLES = [first + second for first in "bdfghklmnprtvz" for second in "aeiou"]


def vocabulary() -> list[str]:
    """10,000 words, the one that is used most first."""
    chance = random.Random(1)  # noqa: S311 - the same words every time
    words = dict.fromkeys(OFTEN)
    while len(words) < 10_000:
        words["".join(chance.choices(SYLLABLES, k=chance.choice((2, 3, 3, 4, 5))))] = None
    return list(words)


def titles(count: int) -> Iterator[str]:
    """By Zipf's law: with these weights the first word is in 20 % of the titles, the last in 0.01 %."""
    words, chance = vocabulary(), random.Random(2)  # noqa: S311
    weights = list(accumulate(1 / (rank + 4) for rank in range(len(words))))
    often = count // 50  # so that of the words below, too, a page is found in however few posts
    for number in range(1, count + 1):
        title = chance.choices(words, cum_weights=weights, k=7)
        title += ["crimson"] if number % 10 == 0 else ["emerald"] if number % 10 == 5 else []
        title += ["middling"] if number % min(200, often) == 0 else []
        title += ["seldom"] if number % min(10_000, often) == 0 else []
        title += [OFTEN[0]] if number % min(20_000, 2 * often) == 0 else []  # every other "seldom"
        title += ["bygone"] if number <= max(count // 100, 50) else []
        title += ["ancient"] if number <= count // 5 else []
        yield " ".join(title)


def rows(database: str, count: int) -> Iterator[tuple[Any, ...]]:
    started = time.monotonic()
    for number, title in enumerate(titles(count), 1):
        yield number, number % AUTHORS + 1, title, BODY, number * 7919 % 100_003, 1, MADE, MADE
        if number % 250_000 == 0:
            print(f"{database}: {number:,} of {count:,} posts after {time.monotonic() - started:.0f} s", flush=True)


def fill_sqlite(file: Path, count: int) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-100000"):
        connection.execute(f"PRAGMA {pragma}")
    by_name = "SELECT sql FROM sqlite_master WHERE name = 'posts_search_added'"
    (trigger,) = connection.execute(by_name).fetchone()
    connection.execute("BEGIN")
    connection.execute("DROP TRIGGER posts_search_added")  # the index is built at the end, which is quicker
    users = [(number, f"author-{number}", MADE) for number in range(1, AUTHORS + 1)]
    connection.executemany("INSERT INTO users VALUES (?, ?, 'x', FALSE, FALSE, ?)", users)
    marks = ", ".join("?" * len(COLUMNS))
    connection.executemany(f"INSERT INTO posts ({', '.join(COLUMNS)}) VALUES ({marks})", rows("sqlite", count))  # noqa: S608
    connection.execute("INSERT INTO posts_search(posts_search) VALUES ('rebuild')")
    connection.execute(trigger)
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.close()


def fill_postgresql(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        users = [(number, f"author-{number}", MADE) for number in range(1, AUTHORS + 1)]
        cursor.executemany("INSERT INTO users VALUES (%s, %s, 'x', FALSE, FALSE, %s)", users)
        with cursor.copy(f"COPY posts ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for row in rows("postgresql", count):
                copy.write_row(row)
        cursor.execute("VACUUM ANALYZE")


def filled(database: str, count: int, stack: ExitStack, server: str) -> Flask:
    """The application on a database with so many posts; both go when the stack closes."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="groundwork-million-")))
    url = f"sqlite:///{folder}/app.db"
    if database == "postgresql":
        url = f"{server.rpartition('/')[0]}/posts_{count}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE posts_{count}")
    flask(folder, "db", "upgrade", DATABASE_URL=url)
    if database == "postgresql":
        fill_postgresql(url, count)
    else:
        fill_sqlite(folder / "app.db", count)
    app = create_app(TestingConfig(INSTANCE_PATH=folder, DATABASE_URL=url))
    stack.callback(disconnect, app)
    return app


def disconnect(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def pages(count: int) -> dict[str, tuple[str, float | None]]:
    """What is asked for in a database with so many posts: its address, and its bar."""

    def search(words: str, **more: int) -> str:
        return f"/posts/?{urlencode({'q': words} | more)}"

    return {
        "first page": ("/posts/", LIST_BAR),
        "middle page": (f"/posts/?before={count // 2}", LIST_BAR),
        "last page": ("/posts/?before=21", LIST_BAR),
        "popular, computed": ("/posts/popular", LIST_BAR),
        "very common word": (search("server"), SEARCH_BAR),
        "very common word, page far back": (search("server", before=count // 5), SEARCH_BAR),
        "three letters of common words": (search("ser"), SEARCH_BAR),
        "four letters of common words": (search("serv"), SEARCH_BAR),
        "two common words": (search("server data"), SEARCH_BAR),
        "common and rare word": (search("server seldom"), SEARCH_BAR),
        "rare word": (search("seldom"), SEARCH_BAR),
        "no such word": (search("nowhere"), SEARCH_BAR),
        "word in 0.5 %": (search("middling"), None),
        "rare word, beginning of a common": (search("seldom serv"), None),
        "10 % and 10 %, never together": (search("crimson emerald"), None),
        "1 %, all of them old": (search("bygone"), None),
        "20 %, all of them old": (search("ancient"), None),
    }


def seconds(app: Flask, path: str) -> float:
    with app.app_context():
        cache.clear()
    client = app.test_client()
    started = time.perf_counter()
    answer = client.get(path)
    elapsed = time.perf_counter() - started
    assert answer.status_code == 200, f"{path}: {answer.status}"
    return elapsed


def measure(database: str, count: int, stack: ExitStack) -> bool:
    """Prints a line for each page; whether all of them keep within their bars."""
    server = stack.enter_context(postgres()) if database == "postgresql" else ""
    sizes = (FEW, count)
    apps = {size: filled(database, size, stack, server) for size in sizes}
    taken: dict[tuple[str, int], list[float]] = {(name, size): [] for name in pages(count) for size in sizes}
    for _ in range(ROUNDS):
        for name, size in taken:
            taken[name, size].append(seconds(apps[size], pages(size)[name][0]))
    kept = True
    for name, (_, bar) in pages(count).items():
        few, many = (statistics.median(taken[name, size]) for size in sizes)
        missed = many / few > bar if bar else many > HARD_BAR
        said = f"{few * 1000:6.2f} ms -> {many * 1000:6.2f} ms, {many / few:5.2f} times"
        limit = f"bar {bar}" if bar else f"bar {HARD_BAR} s"
        print(f"{database:10} {name:34} {said} ({limit}){' MISSED' if missed else ''}", flush=True)
        kept = kept and not missed
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the databases are deleted then, too
    missed = []
    for database in ("sqlite", "postgresql") if arguments.database == "both" else (arguments.database,):
        with ExitStack() as stack:
            if not measure(database, arguments.rows, stack):
                missed.append(database)
    print(f"1,000 -> {arguments.rows:,} posts: bars missed on {' and '.join(missed) or 'no database'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
