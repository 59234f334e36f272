"""The cache: shared by all workers, and never the reason for an error."""

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from app.extensions import cache
from app.platform import cache as cache_module
from app.platform.cache import SqliteCache
from tests.unit.processes import in_processes


class Clock:
    """Time that passes when the test says so."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cache_module, "time", clock)
    return clock


@pytest.fixture
def store(tmp_path: Path) -> SqliteCache:
    return SqliteCache(str(tmp_path / "cache.db"))


def entries(store: SqliteCache) -> int:
    return int(store._connection().execute("SELECT count(*) FROM cache").fetchone()[0])


# --- the SQLite file ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["text", b"\x00", 0, "", [1, {"a": None}], 1.5, False])
def test_what_was_set_is_got(value: object, store: SqliteCache) -> None:
    assert store.set("key", value)
    assert store.get("key") == value
    assert store.has("key")


def test_what_was_never_set_is_a_miss(store: SqliteCache) -> None:
    assert store.get("key") is None
    assert not store.has("key")
    assert not store.delete("key")


def test_an_entry_can_be_replaced_and_deleted(store: SqliteCache) -> None:
    store.set("key", 1)
    store.set("key", 2)
    assert store.get("key") == 2
    assert store.delete("key")
    assert store.get("key") is None


def test_clear_empties_the_cache(store: SqliteCache) -> None:
    store.set_many({"a": 1, "b": 2})
    assert store.get_many("a", "b") == [1, 2]
    assert store.clear()
    assert store.get_many("a", "b") == [None, None]


@pytest.mark.parametrize(("timeout", "lasts"), [(10, 10), (timedelta(minutes=1), 60), (None, 300)])
def test_an_entry_expires(timeout: object, lasts: float, store: SqliteCache, clock: Clock) -> None:
    store.set("key", 1, timeout)
    clock.now += lasts - 1
    assert store.get("key") == 1
    clock.now += 2
    assert (store.get("key"), store.has("key")) == (None, False)


def test_an_entry_without_expiry_stays(store: SqliteCache, clock: Clock) -> None:
    store.set("key", 1, 0)
    clock.now += 1e9
    assert store.get("key") == 1


def test_add_takes_only_a_free_or_expired_place(store: SqliteCache, clock: Clock) -> None:
    assert store.add("lock", 1, 10)
    assert not store.add("lock", 2, 10)
    assert store.get("lock") == 1
    clock.now += 11
    assert store.add("lock", 3, 10)
    assert store.get("lock") == 3


def test_a_counter_counts_both_ways(store: SqliteCache) -> None:
    assert [store.inc("hits"), store.inc("hits", 5), store.dec("hits", 2)] == [1, 6, 4]
    assert store.get("hits") == 4


def test_expired_entries_are_swept_away(store: SqliteCache, clock: Clock) -> None:
    store.set_many({"a": 1, "b": 2}, 10)
    clock.now += cache_module.SWEEP + 1
    store.set("c", 3)
    assert entries(store) == 1


def test_a_cache_that_grows_too_large_drops_what_expires_first(
    store: SqliteCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", 10_000)
    for number in range(20):
        store.set(str(number), "x" * 1000, 1000 - number)
    clock.now += cache_module.SWEEP + 1
    store.set("new", 1)
    assert entries(store) == 11
    assert store.get("0") is not None
    assert store.get("19") is None


def test_a_file_that_can_not_be_used_is_a_miss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    store = SqliteCache(str(tmp_path / "file/cache.db"))
    assert (store.get("a"), store.has("a"), store.set("a", 1), store.add("a", 1)) == (None, False, False, False)
    assert (store.delete("a"), store.clear(), store.inc("a")) == (False, False, None)
    assert "can not be used" in caplog.text


def test_a_broken_file_is_a_miss(store: SqliteCache, tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"this is no database, and long enough to see it" * 100)
    assert store.get("key") is None
    assert not store.set("key", 1)


def test_a_value_that_another_release_wrote_is_a_miss(store: SqliteCache) -> None:
    store.set("key", 1)
    store._connection().execute("UPDATE cache SET value = ?", (b"cgone_module\nGone\n.",))
    assert store.get("key") is None
    assert store.inc("key") == 1


def add_and_count(path: Path) -> tuple[int, int]:
    store = SqliteCache(str(path))
    won = sum(store.add(f"lock-{number}", 1, 60) for number in range(100))
    failed = sum(store.inc("hits") is None for _ in range(100))
    return won, failed


def test_four_workers_share_locks_and_counters(tmp_path: Path) -> None:
    results = in_processes(4, add_and_count, tmp_path / "cache.db")
    assert sum(won for won, _ in results) == 100
    assert sum(failed for _, failed in results) == 0
    assert SqliteCache(str(tmp_path / "cache.db")).get("hits") == 400


def test_the_application_caches_in_its_instance_folder(app: Flask) -> None:
    calls = []

    @app.get("/slow")
    @cache.cached(timeout=10)
    def slow() -> str:
        calls.append(1)
        return "slow"

    client = app.test_client()
    assert [client.get("/slow").text for _ in range(3)] == ["slow"] * 3
    assert len(calls) == 1
    assert (Path(app.instance_path) / "cache.db").exists()
