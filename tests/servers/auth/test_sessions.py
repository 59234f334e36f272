"""A session on real servers: whichever worker has ended it, it is over on all of them."""

import http.client
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks.servers import flask, gunicorn, waitress
from benchmarks.visitor import Visitor
from tests.servers.auth.people import register
from tests.servers.running import Running

ACCOUNT = "/auth/account"
ASKED = 60  # times, on as many connections: enough to meet every worker


def on_gunicorn(instance: Path) -> AbstractContextManager[Running]:
    return gunicorn(instance, "-w", "4", application="wsgi:app")


def on_waitress(instance: Path) -> AbstractContextManager[Running]:
    return waitress(instance, 4)


@pytest.fixture(params=[on_gunicorn, on_waitress], ids=["Gunicorn", "Waitress"])
def server(request: pytest.FixtureRequest, instance: Path) -> Iterator[Running]:
    with request.param(instance) as server:
        yield server


def status_of(port: int, path: str, cookie: str) -> int:
    """Of a page, for who shows this cookie, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Cookie": cookie})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_log_in_on_one_worker_counts_on_all(server: Running) -> None:
    with register(server.port, "ada") as visitor:
        cookie = visitor.headers()["Cookie"]
    assert {status_of(server.port, ACCOUNT, cookie) for _ in range(ASKED)} == {200}


def test_a_log_out_on_one_worker_counts_on_all(server: Running) -> None:
    with register(server.port, "ada") as visitor:
        cookie = visitor.headers()["Cookie"]
        visitor.open("/auth/account")
        assert visitor.send("/auth/logout")[0] == 303
    assert {status_of(server.port, ACCOUNT, cookie) for _ in range(ASKED)} == {303}


def test_a_session_outlives_a_restart(instance: Path) -> None:
    with on_gunicorn(instance) as server, register(server.port, "ada") as visitor:
        cookie = visitor.headers()["Cookie"]
    with on_gunicorn(instance) as server:
        assert status_of(server.port, ACCOUNT, cookie) == 200


@pytest.fixture
def on_postgresql(database_url: str, tmp_path: Path) -> Iterator[Running]:
    flask(tmp_path, "db", "upgrade", DATABASE_URL=database_url)
    with gunicorn(tmp_path, "-w", "2", application="wsgi:app", DATABASE_URL=database_url) as server:
        yield server


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register"])
def test_a_name_that_postgresql_can_not_store_is_refused(path: str, on_postgresql: Running) -> None:
    with Visitor(on_postgresql.port, path) as visitor:
        assert visitor.send(path, "&name=ada%00&password=correct+horse+battery")[0] == 422


@pytest.mark.parametrize("query", ["q=%00", "after=%00"])
def test_a_search_for_what_postgresql_can_not_store_finds_nothing(
    query: str, on_postgresql: Running, database_url: str, tmp_path: Path
) -> None:
    name = f"root-{query[0]}"
    with register(on_postgresql.port, name) as visitor:
        flask(tmp_path, "users", "create-admin", "--existing", name, DATABASE_URL=database_url)
        assert status_of(on_postgresql.port, f"/admin/users?{query}", visitor.headers()["Cookie"]) == 200
