"""What visitors notice of a restart, of a crash, and of a start by their request: they wait, and nobody is refused."""

import time
from collections.abc import Callable

import pytest

from benchmarks.load import Load
from tests.deploy.systemd.site import Site
from tests.servers.running import wait_until

Figure = Callable[[str], None]
STALL = 3.5  # seconds
PAGES = ("/", "/counters/", "/ready", "/health")


@pytest.mark.parametrize("way", ["direct", "through_nginx"])
def test_five_restarts_lose_no_request(site: Site, way: str, figure: Figure) -> None:
    stalls = []
    while len(stalls) < 3 and min(stalls, default=STALL) >= STALL:  # neighbours may keep both cores for a while
        stalls.append(restarts_under_load(site, way, figure))
    assert min(stalls) < STALL


def restarts_under_load(site: Site, way: str, figure: Figure) -> float:
    """The longest wait of any client, in seconds. That nobody is refused, and each POST done once, has no excuse."""
    before = site.counted()
    connection = getattr(site, way)
    form = site.count_up(connection())
    reading = Load(0, *PAGES, keep_alive=3, close=3, connection=connection)
    writing = Load(0, form, keep_alive=2, close=2, connection=connection)
    with reading, writing:
        time.sleep(1)
        for _ in range(5):
            site.machine.run("systemctl", "restart", "groundwork.service")
            time.sleep(1)
    figure(f"5 restarts, {way}, GET: {reading.result}")
    figure(f"5 restarts, {way}, POST: {writing.result}")
    assert (reading.result.failed, writing.result.failed) == (0, 0)
    assert site.counted() - before == writing.result.answered
    return max(reading.result.longest_stall, writing.result.longest_stall)


def test_a_killed_master_is_back_in_5_seconds_and_nobody_is_refused(site: Site, figure: Figure) -> None:
    clients, kills = 6, 3
    load = Load(0, *PAGES, keep_alive=3, close=3, connection=site.direct)
    with load:
        for _ in range(kills):
            time.sleep(1)
            killed = site.pid()
            site.machine.run("kill", "-KILL", killed)
            wait_until(lambda killed=killed: site.pid() not in {"0", killed}, 10)
            assert site.version() == "first"
    figure(f"{kills} kills of the master: {load.result}")
    # What was being answered at that moment is lost with its connection; whoever connects then waits.
    cut_off = {"ConnectionResetError", "RemoteDisconnected", "BrokenPipeError", "IncompleteRead"}
    assert set(load.result.failures) <= cut_off
    assert load.result.failed <= kills * clients
    assert load.result.longest_stall < 5


def test_the_first_request_starts_the_service(site: Site) -> None:
    site.wait_until_started()
    site.machine.run("systemctl", "stop", "groundwork.service")
    assert site.machine.property("groundwork.service", "ActiveState") == "inactive"
    assert site.version() == "first"


def test_a_restart_comes_back_when_the_server_serves(site: Site) -> None:
    before = site.pid()
    site.machine.run("systemctl", "restart", "groundwork.service")
    assert site.machine.property("groundwork.service", "ActiveState") == "active"
    assert site.pid() != before
    assert site.machine.get("/ready", timeout=2)[0] == 200


def test_a_release_that_can_not_boot_closes_no_socket_and_connections_wait_for_the_next(site: Site) -> None:
    site.release("unbootable", "raise RuntimeError('this release can not boot')\n")
    site.systemctl("restart", "groundwork.service")
    visitor = site.direct(timeout=40)
    visitor.request("GET", "/ready")
    time.sleep(3)  # several attempts, each at once because somebody waits
    assert site.machine.property("groundwork.socket", "ActiveState") == "active"
    site.machine.switch_to("first")
    assert visitor.getresponse().status == 200
    visitor.close()
    assert "this release can not boot" in site.machine.journal("groundwork.service")


def test_a_start_says_that_the_database_is_behind_and_serves_on(site: Site) -> None:
    site.flask("db", "downgrade", user="groundwork")
    try:
        site.machine.run("systemctl", "restart", "groundwork.service")
        assert site.machine.get("/health")[0] == 200
        said = site.machine.journal("groundwork.service")
        assert "is not ready: /ready answers 503: database: behind the code, run `flask db upgrade`" in said
    finally:
        site.flask("db", "upgrade", user="groundwork")
    assert site.version() == "first"  # without another restart
