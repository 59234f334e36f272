"""The limit of wrong passwords holds over all workers and machines, however many try at the same moment."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.auth.log_in import Guest
from benchmarks.servers import flask, gunicorn
from tests.servers.running import Running

TRIES = 60


def guess_together(servers: list[Running], same_address: bool) -> Counter[int]:
    """The statuses of sixty wrong log-ins that are sent at once, to each server in turn: for one account, from
    sixty addresses; or from one address, for sixty accounts."""
    statuses: Counter[int] = Counter()
    barrier = threading.Barrier(TRIES)

    def guess(number: int) -> None:
        address = "203.0.113.99" if same_address else f"203.0.113.{number}"
        with Guest(servers[number % len(servers)].port, address) as guest:
            barrier.wait(60)
            statuses[guest.log_in(f"victim{number}" if same_address else "ada", "wrong password").status] += 1

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(TRIES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def two_machines(stack: ExitStack, folder: Path, database_url: str, **settings: object) -> list[Running]:
    """Each with four workers and an instance folder of its own; a database and a secret for both."""
    both = {"DATABASE_URL": database_url, "SECRET_KEY": "for both of the machines " * 2, "TRUSTED_PROXIES": 1}
    servers = []
    for name in ("one", "two"):
        (folder / name).mkdir(exist_ok=True)
        server = gunicorn(folder / name, "-w", "4", application="wsgi:app", **both, **settings)
        servers.append(stack.enter_context(server))
    return servers


@pytest.fixture(params=["SQLite", "PostgreSQL", "Redis"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Running]]:
    settings = {}
    if request.param == "PostgreSQL":
        url = request.getfixturevalue("database_url")
        flask(tmp_path, "db", "upgrade", DATABASE_URL=url)
    else:
        url = f"sqlite:///{request.getfixturevalue('instance')}/app.db"
    if request.param == "Redis":
        settings["REDIS_URL"] = request.getfixturevalue("redis_url")
    with ExitStack() as stack:
        yield two_machines(stack, tmp_path, url, **settings)


@pytest.mark.alone
@pytest.mark.parametrize("same_address", [False, True], ids=["one account", "one address"])
def test_of_sixty_guesses_at_once_ten_are_looked_at(machines: list[Running], same_address: bool) -> None:
    assert guess_together(machines, same_address) == {422: 10, 429: TRIES - 10}
