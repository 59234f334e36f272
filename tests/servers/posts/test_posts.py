"""Posts on real servers: read under load, written and counted by several visitors at once, and a database outage."""

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import ROOT, environment, flask, gunicorn, waitress
from tests.servers import services
from tests.servers.auth.people import register
from tests.servers.running import Running, get

PAGES = ["/posts/", "/posts/?before=20", "/posts/?q=forty", "/posts/popular", "/posts/1", "/api/v1/posts"]
READERS, READ = 4, 40


def serve(instance: Path, *options: str, **settings: object):
    return gunicorn(instance, *options, application="wsgi:app", **settings)


def read_together(server: Running) -> Counter[int]:
    """The statuses of what several readers got who read the same post."""
    statuses: Counter[int] = Counter()

    def read() -> None:
        for _ in range(READ):
            statuses[get(server.port, "/posts/1")[0]] += 1

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def views(instance: Path, **settings: object) -> int:
    """What the database has after the cache's count was written to it."""
    code = "from app import create_app; from app.posts.reading import post, hand_over_views; app = create_app()"
    code += "\nwith app.app_context(): hand_over_views(1); print(post(1)['views'])"
    command, values = [sys.executable, "-c", code], environment(instance, **settings)
    return int(subprocess.run(command, cwd=ROOT, env=values, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
def test_every_page_is_served(instance: Path, worker_class: str) -> None:
    with serve(instance, "-w", "2", WORKER_CLASS=worker_class) as server:
        assert {path: get(server.port, path)[0] for path in PAGES} == dict.fromkeys(PAGES, 200)


def test_waitress_serves_every_page(instance: Path) -> None:
    with waitress(instance, 2) as server:
        assert {path: get(server.port, path)[0] for path in PAGES} == dict.fromkeys(PAGES, 200)


def test_a_recycled_worker_costs_no_reader(instance: Path) -> None:
    with serve(instance, "-w", "2", "--max-requests", "150", "--max-requests-jitter", "50") as server:
        result = Load(server.port, "/posts/", "/posts/1", keep_alive=4, close=4).run_until(400)
        assert result.failed == 0, result
        assert result.answered >= 400, "as many as two workers take before both are recycled"


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
    with serve(instance, "-w", "2") as server, register(server.port, "grace") as visitor:
        visitor.open("/posts/new")
        written = visitor.send("/posts/new", "&title=From+afar&body=One+line.&request_key=1")
        assert written == (303, "/posts/46")
        assert "<h1>From afar</h1>" in get(server.port, "/posts/46")[2]
        assert "From afar" in get(server.port, "/posts/")[2]


def test_no_view_is_lost(instance: Path) -> None:
    with serve(instance, "-w", "4") as server:
        assert read_together(server) == {200: READERS * READ}
        assert views(instance) == READERS * READ
        assert "database is locked" not in server.output


def test_posts_are_served_from_postgresql_and_redis(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    flask(tmp_path, "db", "upgrade", **settings)
    flask(tmp_path, "seed", "--count", "45", **settings)
    with serve(tmp_path, "-w", "2", **settings) as server:
        result = Load(server.port, "/posts/", "/posts/1", "/posts/?before=20", "/posts/?q=reload").run_for(2)
        assert result.failed == 0, result
        assert get(server.port, "/posts/9223372036854775807")[0] == 404
        before = views(tmp_path, **settings)
        assert read_together(server) == {200: READERS * READ}
        assert views(tmp_path, **settings) - before == READERS * READ


@pytest.mark.parametrize("url", ["database_url", "pooled_url"])
def test_a_post_is_written_on_postgresql(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    database_url, name = request.getfixturevalue(url), f"grace-{url[:6]}"
    flask(tmp_path, "db", "upgrade", DATABASE_URL=database_url)
    with serve(tmp_path, "-w", "2", DATABASE_URL=database_url) as server, register(server.port, name) as visitor:
        visitor.open("/posts/new")
        statuses = {visitor.send("/posts/new", "&title=Twice&body=One+line.&request_key=same") for _ in range(2)}
        assert len(statuses) == 1
        assert statuses.pop()[0] == 303
        assert "Twice" in get(server.port, "/posts/?q=twi")[2] or "Twice" in get(server.port, "/posts/?q=twice")[2]


def test_an_outage_of_the_database_says_when_to_come_back(tmp_path: Path) -> None:
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with services.postgres() as url:
        flask(tmp_path, "db", "upgrade", DATABASE_URL=url)
    with serve(tmp_path, "-w", "1", ready="/health", DATABASE_URL=url) as server:
        status, headers, page = get(server.port, "/posts/")
        assert (status, headers["retry-after"]) == (503, "5")
        assert "Traceback" not in page
