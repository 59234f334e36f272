"""How often something may be tried: the same in the database, in Redis, and while Redis is down."""

import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.extensions import cache, db
from app.platform import limits
from app.platform.errors import AppError
from app.platform.limits import Limit, Try, client_network

STORES = ["database", "redis"]
NOBODY_LISTENS = "redis://127.0.0.1:9/0"


class Clock:
    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that passes when the test says so."""
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    return clock


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    from tests.servers import services  # only where there is Redis: it can not be imported on Windows

    with services.redis() as url:
        yield url


@pytest.fixture(autouse=True)
def store(request: pytest.FixtureRequest, make_app: Callable[..., Flask]) -> Iterator[str]:
    """Where it is counted, within an application's context; a test names several in `@pytest.mark.parametrize`."""
    name = getattr(request, "param", "database")
    url = {"database": None, "redis": None, "broken redis": NOBODY_LISTENS}[name]
    if name == "redis":
        url = request.getfixturevalue("redis_url")
    with make_app(REDIS_URL=url).app_context():
        client: Any = getattr(cache.cache, "_write_client", None)
        if name == "redis":
            client.flushdb()
        yield name
        if client:
            client.close()


def passes(limit: Limit, *keys: str) -> bool:
    return wait(limit, *keys) == 0


def wait(limit: Limit, *keys: str) -> int:
    """Seconds to wait, 0 when the try was counted."""
    try:
        limit.take(*keys)
    except AppError as error:
        return int(error.fields["headers"]["Retry-After"])
    return 0


def rows() -> list[str]:
    return list(db.session.scalars(select(Try.ticket)))


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_of_any_minute_in_a_row_three_tries_pass(clock: Clock) -> None:
    limit, passed = Limit("door", 3, 60), []
    chance = random.Random(7)  # noqa: S311 - no secret
    for _ in range(200):
        clock.now += chance.choice([0, 1, 5, 20, 59, 60, 61])
        expected = sum(clock.now - moment < 60 for moment in passed) < 3
        assert passes(limit, "ada") is expected, f"{clock.now}, after {passed[-3:]}"
        if expected:
            passed.append(clock.now)


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_the_wait_lasts_until_the_oldest_try_is_over(clock: Clock) -> None:
    limit = Limit("door", 2, 60)
    waits = []
    for moment in (0, 10.5, 20, 59.9, 60, 60.5, 70.5):
        clock.now = 1_000_000 + moment
        waits.append(wait(limit, "ada"))
    assert waits == [0, 0, 40, 1, 0, 10, 0]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_try_needs_room_under_all_its_keys(clock: Clock) -> None:
    limit = Limit("door", 2, 60)
    assert [passes(limit, "ada", "home"), passes(limit, "ada", "office")] == [True, True]
    assert not passes(limit, "ada", "home"), "ada has no try left"
    assert [passes(limit, "bob", "home"), passes(limit, "bob", "home")] == [True, False]
    assert [passes(limit, "bob", "office"), passes(limit, "carl", "office")] == [True, False]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_refused_try_counts_for_none_of_its_keys(clock: Clock) -> None:
    limit = Limit("door", 1, 60)
    limit.take("ada")
    assert not passes(limit, "ada", "home")
    assert passes(limit, "home")


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_the_longest_wait_of_all_keys_counts(clock: Clock) -> None:
    limit = Limit("door", 1, 60)
    limit.take("ada")
    clock.now += 20
    limit.take("home")
    assert wait(limit, "ada", "home") == 60


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_try_that_is_given_back_does_not_count(clock: Clock) -> None:
    limit = Limit("door", 1, 60)
    limit.give_back(limit.take("ada", "home"), "ada", "home")
    assert [passes(limit, "ada"), passes(limit, "home")] == [True, True]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_only_ones_own_try_is_given_back(clock: Clock) -> None:
    limit = Limit("door", 2, 60)
    ticket = limit.take("ada")
    limit.take("ada")
    for _ in range(3):
        limit.give_back(ticket, "ada")
    assert [passes(limit, "ada"), passes(limit, "ada")] == [True, False]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_limits_with_other_names_count_apart(clock: Clock) -> None:
    assert [passes(Limit(name, 1, 60), "ada") for name in ("door", "window", "door")] == [True, True, False]


@pytest.mark.parametrize("key", ["", "nul\x00", "half a pair \ud800", "ä" * 10_000])
@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_key_may_be_any_text(key: str, clock: Clock) -> None:
    limit = Limit("door", 1, 60)
    assert [passes(limit, key), passes(limit, key), passes(limit, f"{key}2")] == [True, False, True]


@pytest.mark.parametrize(("seconds", "text"), [(1, "1 s"), (89, "89 s"), (90, "2 minutes"), (3600, "60 minutes")])
def test_the_message_says_how_long_to_wait(seconds: int, text: str, clock: Clock) -> None:
    limit = Limit("door", 1, seconds)
    limit.take("ada")
    with pytest.raises(AppError, match=f"^There were too many tries. Wait {text}, then try again.$"):
        limit.take("ada")


# --- where it is counted --------------------------------------------------------------------------


@pytest.mark.parametrize(("store", "kept"), [("database", 2), ("redis", 0), ("broken redis", 2)], indirect=["store"])
def test_the_database_counts_where_redis_does_not(kept: int, clock: Clock) -> None:
    limit = Limit("door", 2, 60)
    assert [passes(limit, "ada") for _ in range(3)] == [True, True, False]
    assert len(rows()) == kept


@pytest.mark.parametrize("store", ["broken redis"], indirect=True)
def test_without_redis_a_try_is_given_back_too(clock: Clock) -> None:
    limit = Limit("door", 1, 60)
    limit.give_back(limit.take("ada"), "ada")
    assert passes(limit, "ada")


@pytest.mark.parametrize("store", ["redis"], indirect=True)
def test_redis_forgets_who_tries_no_more(clock: Clock) -> None:
    Limit("door", 1, 60).take("ada", "home")
    client: Any = cache.cache
    keys = client._write_client.keys()
    assert len(keys) == 2
    assert all(0 < client._write_client.ttl(key) <= 60 for key in keys)


def test_no_key_can_be_read_in_the_database(clock: Clock) -> None:
    Limit("door", 1, 60).take("ada@example.com")
    assert "ada" not in str(db.session.execute(select(Try.key)).all())


@pytest.mark.parametrize(("chance", "kept"), [(0.0, 2), (0.5, 3)])
def test_now_and_then_what_is_long_over_is_removed(
    chance: float, kept: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits.random, "random", lambda: 0.5)
    limit = Limit("door", 1, 60)
    limit.take("long over")
    limit.take("just over")
    with db.engine.begin() as connection:
        long_over = Try.key == limit._hashed("long over")
        connection.execute(update(Try).where(long_over).values(expires=clock.now - 3601))
        connection.execute(update(Try).where(~long_over).values(expires=clock.now - 3599))
    monkeypatch.setattr(limits.random, "random", lambda: chance)
    limit.take("ada")
    assert len(rows()) == kept


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("", "unknown"),
    ],
)
def test_who_asks_is_an_address_or_the_network_that_a_customer_has(address: str, network: str, app: Flask) -> None:
    with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
        assert client_network() == network
