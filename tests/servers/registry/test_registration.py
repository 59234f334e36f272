"""Real servers and a stand-in for Nacos: one registration, whatever happens to the processes that serve."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import gunicorn, waitress
from tests.servers.registry.stand_in import PASSWORD, USER, Nacos
from tests.servers.running import Running, get, wait_until

ENDED = 3.0  # s for an end of a server that has nothing to finish, on a busy machine


@pytest.fixture(params=["v1", "v3"])
def nacos(request: pytest.FixtureRequest) -> Iterator[Nacos]:
    with Nacos(api=request.param) as nacos:
        yield nacos
    assert nacos.faults == []


def settings_for(nacos: Nacos) -> dict[str, object]:
    return {"NACOS_SERVER_ADDR": nacos.address, "NACOS_API": nacos.api, "NACOS_SERVICE": "shop", "LOG_LEVEL": "INFO"}


def start(kind: str, instance: Path, **settings: object) -> AbstractContextManager[Running]:
    if kind == "waitress":
        return waitress(instance, 4, **settings)
    return gunicorn(instance, "-w", "4", WORKER_CLASS=kind, **settings)


def one_registration(nacos: Nacos, port: int) -> Any:
    ((key, registered),) = wait_until(nacos.living, 10, lambda: str(nacos.faults)).items()
    assert key == ("public", "DEFAULT_GROUP", "shop", "DEFAULT", "127.0.0.1", str(port))
    return registered


def stop(server: Running) -> float:
    began = time.monotonic()
    server.process.terminate()
    server.end()
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ["gthread", "gevent", "sync", "waitress"])
def test_four_workers_are_one_instance_that_ends_with_them(nacos: Nacos, instance: Path, kind: str) -> None:
    with start(kind, instance, **settings_for(nacos)) as server:
        one_registration(nacos, server.port)
        wait_until(lambda: "beat" in nacos.happened(), 10)
        assert nacos.happened("registered", "again") == ["registered"]
        stop(server)
    assert nacos.living() == {}
    assert nacos.happened()[-1] == "deregistered"
    assert nacos.happened("deregistered") == ["deregistered"]


@pytest.mark.parametrize("kind", ["gthread", "gevent", "waitress"])
def test_workers_may_die_and_the_instance_never_goes(nacos: Nacos, instance: Path, kind: str) -> None:
    """The tutorials' problem: one worker dies, takes the registration with it, and nobody brings it back."""
    with start(kind, instance, **settings_for(nacos)) as server:
        one_registration(nacos, server.port)
        wait_until(lambda: len(server.children()) >= 4, 10)
        for pid in server.children()[:4]:  # whichever of them sends the heartbeats
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.4)
        died = time.monotonic()
        wait_until(lambda: one_registration(nacos, server.port).beaten > died, 10)
        time.sleep(6)
        assert one_registration(nacos, server.port).beaten > died + 4
        assert nacos.happened("deregistered", "expired") == []
        assert nacos.happened("registered") == ["registered"]


def test_a_worker_that_is_recycled_does_not_take_the_service_off(nacos: Nacos, instance: Path) -> None:
    options = ("-w", "1", "--max-requests", "20", "--max-requests-jitter", "0")
    with gunicorn(instance, *options, **settings_for(nacos)) as server:
        one_registration(nacos, server.port)
        (first,) = server.children()
        for _ in range(30):
            get(server.port, "/health")
        wait_until(lambda: server.children() and server.children() != [first], 10)
        wait_until(lambda: nacos.happened("again"), 10)
        assert nacos.happened("deregistered") == []


def test_a_hand_over_to_a_new_master_does_not_take_the_service_off(nacos: Nacos, instance: Path) -> None:
    pid_file = instance / "web.pid"
    with gunicorn(instance, "-w", "2", "--pid", str(pid_file), **settings_for(nacos)) as server:
        one_registration(nacos, server.port)
        server.process.send_signal(signal.SIGUSR2)
        successor = Path(f"{pid_file}.2")
        new = int(wait_until(lambda: successor.exists() and successor.read_text().strip(), 20))
        try:
            wait_until(lambda: len(_children(new)) == 2, 20)
            time.sleep(1)  # they serve
            server.process.terminate()
            server.end()
            left = time.monotonic()
            wait_until(lambda: one_registration(nacos, server.port).beaten > left, 10)
            assert nacos.happened("deregistered", "expired") == []
        finally:
            os.kill(new, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{new}").exists() or not _children(new), 20)
        wait_until(lambda: nacos.living() == {}, 5)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_server_that_drains_is_taken_off_while_it_still_answers(nacos: Nacos, instance: Path) -> None:
    with gunicorn(instance, "-w", "2", **settings_for(nacos)) as server:
        one_registration(nacos, server.port)
        mark = instance / f"drain-{server.process.pid}"
        mark.touch()
        wait_until(lambda: nacos.living() == {}, 5)
        assert get(server.port, "/health")[0] == 200
        time.sleep(6)
        assert nacos.living() == {}
        mark.unlink()  # the stop was called off
        one_registration(nacos, server.port)


def test_a_killed_master_takes_the_instance_with_it(nacos: Nacos, instance: Path) -> None:
    with gunicorn(instance, "-w", "2", **settings_for(nacos)) as server:
        one_registration(nacos, server.port)
        server.process.kill()
        wait_until(lambda: nacos.living() == {}, 10)


@pytest.mark.parametrize("kind", ["gthread", "gevent", "waitress"])
def test_nacos_comes_late_goes_away_and_returns(instance: Path, kind: str) -> None:
    nacos = Nacos(api="v3")
    with start(kind, instance, **settings_for(nacos)) as server:
        time.sleep(2)
        assert get(server.port, "/ready")[0] == 200
        with nacos:
            one_registration(nacos, server.port)
        nacos.forget()  # a restart
        time.sleep(1)
        with nacos:
            one_registration(nacos, server.port)
            nacos.failing = True
            nacos.forget()
            time.sleep(2)
            nacos.failing = False
            one_registration(nacos, server.port)
            assert len(nacos.living()) == 1
            stop(server)
            assert nacos.living() == {}
    assert nacos.faults == []
    assert server.output.count("not registered") <= 6, "said once for each reason, not every few seconds"


def test_of_several_nacos_the_next_one_is_asked(instance: Path) -> None:
    first, second = Nacos(api="v3"), Nacos(api="v3")
    with second:
        settings = settings_for(second) | {"NACOS_SERVER_ADDR": f"{first.address},{second.address}"}
        with gunicorn(instance, "-w", "2", **settings) as server:
            one_registration(second, server.port)
            with first:
                second.stop()
                wait_until(lambda: first.living(), 10)


def test_it_logs_in_and_again_when_its_token_has_expired(nacos: Nacos, instance: Path) -> None:
    nacos.with_auth, nacos.token_seconds = True, 4
    settings = settings_for(nacos) | {"NACOS_USERNAME": USER, "NACOS_PASSWORD": PASSWORD, "NACOS_NAMESPACE": "staging"}
    with gunicorn(instance, "-w", "2", **settings) as server:
        wait_until(lambda: nacos.happened("beat"), 12, lambda: server.output)
        assert nacos.logins >= 2
        ((key, _),) = nacos.living().items()
        assert key[0] == "staging"
        stop(server)
    assert nacos.living() == {}
    assert PASSWORD not in server.output


def test_a_refused_log_in_is_said_and_the_site_serves(instance: Path) -> None:
    with Nacos(api="v3", with_auth=True) as nacos:
        settings = settings_for(nacos) | {"NACOS_USERNAME": USER, "NACOS_PASSWORD": "wrong-password"}
        with gunicorn(instance, "-w", "2", **settings) as server:
            server.line_with("the log-in of service was answered 403")
            assert get(server.port, "/ready")[0] == 200
            assert nacos.living() == {}
    assert "wrong-password" not in server.output


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["gthread", "gevent", "waitress"])
def test_a_nacos_that_never_answers_delays_neither_start_nor_stop(instance: Path, kind: str) -> None:
    took = {}
    for hang in (False, True):
        with Nacos(api="v3", hang=hang) as nacos:
            began = time.monotonic()
            with start(kind, instance, **settings_for(nacos)) as server:
                started = time.monotonic() - began
                time.sleep(1)
                assert get(server.port, "/ready")[0] == 200
                took[hang] = started, stop(server)
            nacos.hang = False
    assert took[True][0] < took[False][0] + 2
    assert took[True][1] < took[False][1] + ENDED


def test_a_server_whose_database_is_behind_is_not_offered_to_callers(nacos: Nacos, tmp_path: Path) -> None:
    with gunicorn(tmp_path, "-w", "2", ready="/health", **settings_for(nacos)) as server:
        server.line_with("this server is not ready yet")
        time.sleep(2)
        assert nacos.living() == {}
