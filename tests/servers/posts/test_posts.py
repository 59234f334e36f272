"""Posts on real servers: read under load, written and applauded by several visitors at once, and a database outage."""

import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import flask, gunicorn, waitress
from benchmarks.visitor import Visitor
from tests.servers import services
from tests.servers.running import Running, get

PAGES = ["/posts/", "/posts/?before=20", "/posts/1", "/posts/new"]
VISITORS, CLAPS = 4, 40


def serve(instance: Path, *options: str, **settings: object):
    return gunicorn(instance, *options, application="wsgi:app", **settings)


def applause(server: Running) -> int:
    match = re.search(r"Applaud\D*(\d+)", get(server.port, "/posts/1")[2])
    assert match
    return int(match[1])


def clap_together(server: Running) -> Counter[int]:
    """The statuses of what several visitors got who applauded the same post."""
    statuses: Counter[int] = Counter()

    def clap() -> None:
        with Visitor(server.port, form_at="/posts/1") as visitor:
            for _ in range(CLAPS):
                statuses[visitor.send("/posts/1/applause")[0]] += 1

    threads = [threading.Thread(target=clap) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
def test_every_page_is_served(instance: Path, worker_class: str) -> None:
    with serve(instance, "-w", "2", WORKER_CLASS=worker_class) as server:
        assert {path: get(server.port, path)[0] for path in PAGES} == dict.fromkeys(PAGES, 200)


def test_waitress_serves_every_page(instance: Path) -> None:
    with waitress(instance, 2) as server:
        assert {path: get(server.port, path)[0] for path in PAGES} == dict.fromkeys(PAGES, 200)


def test_a_recycled_worker_costs_no_reader(instance: Path) -> None:
    with serve(instance, "-w", "2", "--max-requests", "150", "--max-requests-jitter", "50") as server:
        result = Load(server.port, "/posts/", "/posts/1", keep_alive=4, close=4).run_for(3)
        assert result.failed == 0, result
        assert result.answered > 300


def test_forty_readers_at_once_are_all_answered(instance: Path) -> None:
    statuses: list[int] = []
    with serve(instance) as server:
        threads = [threading.Thread(target=lambda: statuses.append(get(server.port, "/posts/")[0])) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 40


def test_a_post_is_written_and_shown_to_everybody(instance: Path) -> None:
    with serve(instance, "-w", "2") as server, Visitor(server.port, form_at="/posts/new") as visitor:
        written = visitor.send("/posts/new", "&title=From+afar&body=One+line.")
        assert written == (303, "/posts/46")
        assert "<h1>From afar</h1>" in get(server.port, "/posts/46")[2]
        assert "From afar" in get(server.port, "/posts/")[2]


def test_no_applause_is_lost(instance: Path) -> None:
    with serve(instance, "-w", "4") as server:
        before = applause(server)
        assert clap_together(server) == {303: VISITORS * CLAPS}
        assert applause(server) - before == VISITORS * CLAPS
        assert "database is locked" not in server.output


def test_posts_are_served_from_postgresql_and_redis(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    flask(tmp_path, "db", "upgrade", **settings)
    flask(tmp_path, "seed", "--count", "45", **settings)
    with serve(tmp_path, "-w", "2", **settings) as server:
        result = Load(server.port, "/posts/", "/posts/1", "/posts/?before=20").run_for(2)
        assert result.failed == 0, result
        assert get(server.port, "/posts/9223372036854775807")[0] == 404
        assert clap_together(server) == {303: VISITORS * CLAPS}
        assert applause(server) == VISITORS * CLAPS


def test_an_outage_of_the_database_says_when_to_come_back(tmp_path: Path) -> None:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres() as url:
        flask(tmp_path, "db", "upgrade", DATABASE_URL=url)
    with serve(tmp_path, "-w", "1", ready="/health", DATABASE_URL=url) as server:
        status, headers, page = get(server.port, "/posts/")
        assert (status, headers["retry-after"]) == (503, "5")
        assert "Traceback" not in page
