"""uWSGI's workers are one instance, too: with its file, and with the command that people know."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import flask, running
from tests.deploy.uwsgi.server import uwsgi
from tests.servers.registry.stand_in import Nacos
from tests.servers.running import free_port, wait_until


@pytest.fixture
def nacos() -> Iterator[Nacos]:
    with Nacos(api="v1") as nacos:
        yield nacos
    assert nacos.faults == []


def test_a_chain_reload_keeps_the_registration_and_a_stop_ends_it(nacos: Nacos) -> None:
    port = free_port()  # behind nginx: nginx' own
    settings = {"NACOS_SERVER_ADDR": nacos.address, "NACOS_API": "v1", "NACOS_PORT": port}
    with uwsgi("http", processes=3, **settings) as server:
        wait_until(nacos.living, 10)
        server.reload_one_by_one()
        reloaded = time.monotonic()
        wait_until(lambda: any(instance.beaten > reloaded for instance in nacos.living().values()), 10)
        assert nacos.happened("deregistered", "expired") == []
        ((key, _),) = nacos.living().items()
        assert key[-1] == str(port)
    assert nacos.living() == {}
    assert nacos.happened("deregistered") == ["deregistered"]


def test_workers_that_are_forked_after_loading_register_once(nacos: Nacos, tmp_path: Path) -> None:
    flask(tmp_path, "db", "upgrade")
    port = free_port()
    command = [str(Path(sys.executable).with_name("uwsgi")), "--http", f"127.0.0.1:{port}", "--wsgi-file", "wsgi.py"]
    command += ["--callable", "app", "--master", "--processes", "3", "--enable-threads", "--die-on-term"]
    settings = {"NACOS_SERVER_ADDR": nacos.address, "NACOS_API": "v1", "PORT": port}
    with running(command, tmp_path, port, "/ready", **settings) as server:
        ((key, _),) = wait_until(nacos.living, 10, lambda: server.output).items()
        assert key[-1] == str(port)
        time.sleep(2)
        assert nacos.happened("registered", "again") == ["registered"]
        server.process.terminate()
        server.end()
    wait_until(lambda: nacos.living() == {}, 2)
