"""200 readers at once, on four workers, when the list of the popular posts has to be computed."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from app.platform.cache import SqliteCache
from benchmarks.servers import gunicorn
from tests.servers.running import get

READERS = 200


def read_together(port: int) -> Counter[int | str]:
    """What came of so many requests that were sent in the same moment."""
    outcomes: Counter[int | str] = Counter()
    start = threading.Barrier(READERS)

    def read() -> None:
        start.wait(30)
        try:
            status, _, page = get(port, "/posts/popular", 30)
            outcomes[status if "<h1>Popular posts</h1>" in page else "another page"] += 1
        except OSError as error:
            outcomes[repr(error)] += 1

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def expire(instance: Path) -> None:
    """Lets 5 minutes pass: the list is out of date, but there."""
    store, key = SqliteCache(str(instance / "cache.db")), "popular posts:None"
    _, posts = store.get(key)
    store.set(key, (0, posts), 300)


@pytest.mark.parametrize("cached", ["never", "too long ago"])
def test_200_readers_at_once_compute_the_list_at_most_twice(cached: str, instance: Path) -> None:
    computed = instance / "computed"
    with gunicorn(instance, "-w", "4", application="tests.servers.posts.counting:app") as server:
        if cached == "too long ago":
            assert get(server.port, "/posts/popular")[0] == 200
            expire(instance)
            computed.unlink()
        assert read_together(server.port) == {200: READERS}
        assert 1 <= len(computed.read_text().splitlines()) <= 2
