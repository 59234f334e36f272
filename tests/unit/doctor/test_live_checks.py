"""Live checks against a server that takes everything, and against none; real ones are in tests/deploy/nginx."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

from app.platform.doctor import live_edge
from app.platform.doctor.site import Site
from tests.unit.doctor.conftest import assert_seen, look


class Careless:
    """Answers whatever comes with `status`, once for each request line that it finds in there."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.status, self.name = "200 OK", "nginx"
        self.refusal = ""  # of what the doctor sends without a name: its malformed requests
        self.hangs_up = False  # after the first answer, whatever else came
        self.listener = socket.create_server((host, 0))
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                data = connection.recv(1 << 20)
                status = self.status if b"flask-doctor" in data else self.refusal or self.status
                answer = f"HTTP/1.1 {status}\r\nServer: {self.name}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
                connection.sendall(answer.encode() * (1 if self.hangs_up else max(1, data.count(b" HTTP/"))))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(5)


@pytest.fixture
def careless() -> Iterator[Careless]:
    server = Careless()
    yield server
    server.close()


def test_a_server_that_takes_every_request_is_found(app: Flask, careless: Careless) -> None:
    site = Site(f"http://127.0.0.1:{careless.port}")
    found = look(app, "live.malformed", site=site)
    assert_seen(found, "FAIL", "both lengths", "two hosts", "TRACE")
    careless.refusal = "400 Bad Request"
    found = look(app, "live.malformed", site=site)  # it still answers the smuggled request, as one of its own
    assert_seen(found, "FAIL", "both lengths")
    assert "two hosts" not in found.seen
    careless.hangs_up = True
    assert look(app, "live.malformed", site=site).status == "OK"


def test_a_site_that_fails_or_is_away_is_found(app: Flask, careless: Careless) -> None:
    assert look(app, "live.answers", site=Site(f"http://127.0.0.1:{careless.port}")).status == "OK"
    careless.status = "502 Bad Gateway"
    assert_seen(look(app, "live.answers", site=Site(f"http://127.0.0.1:{careless.port}")), "FAIL", "502")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = Site(f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert_seen(look(app, "live.answers", site=away), "FAIL", "refused")
        assert look(app, "live.cookies", site=away).status == "SKIP"


def test_a_site_that_serves_every_name_is_found(app: Flask, careless: Careless) -> None:
    for status in ("200 OK", "404 Not Found"):
        careless.status = status
        assert_seen(look(app, "live.hosts", site=Site(f"http://127.0.0.1:{careless.port}")), "FAIL")


def test_what_mends_the_edge_is_for_the_server_that_is_there(app: Flask, careless: Careless, machine: Path) -> None:
    for name, remedy in (("nginx", "scripts/install-service.sh --domain 127.0.0.1"), ("Apache/2.4", "docs/apache.md")):
        careless.name = name
        found = look(app, "live.request-id", site=Site(f"http://127.0.0.1:{careless.port}"), machine=machine)
        assert_seen(found, "WARN")
        assert remedy in found.fix


def test_a_site_without_encryption_is_found(app: Flask, careless: Careless) -> None:
    for identity in ("live.tls", "live.redirect"):
        assert_seen(look(app, identity, site=Site(f"http://127.0.0.1:{careless.port}")), "FAIL")


def test_a_port_that_is_open_past_the_proxy_is_found(
    make_app: Callable[..., Flask], careless: Careless, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_edge, "own_address", lambda: "127.0.1.1")  # loopback, but no 127.0.0.1
    monkeypatch.setattr(live_edge, "LOOPBACK", "127.0.0.")
    site = Site("https://www.example.com")
    server = Careless("127.0.1.1")
    try:
        app = make_app(TRUSTED_PROXIES=1, PORT=server.port)
        assert_seen(look(app, "live.bypass", site=site, machine=machine), "FAIL", f"127.0.1.1:{server.port}")
    finally:
        server.close()
    assert (
        look(make_app(TRUSTED_PROXIES=1, PORT=careless.port), "live.bypass", site=site, machine=machine).status == "OK"
    )
    assert look(make_app(), "live.bypass", site=site, machine=machine).status == "SKIP"


def test_without_a_url_no_live_check_says_that_all_is_well(app: Flask) -> None:
    for identity in ("live.tls", "live.headers", "live.bypass"):
        assert look(app, identity).status == "SKIP"


@pytest.mark.parametrize(
    "url",
    [
        "www.example.com",
        "ftp://www.example.com",
        "https://",
        "https://localhost:99999",
        "https://localhost:abc",
        "https://[::1",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(click.UsageError, match="--url takes"):
        Site.at(url, "", 80)


def test_a_url_with_a_password_is_refused_and_not_repeated(app: Flask) -> None:
    run = app.test_cli_runner().invoke(args=["doctor", "--json", "--url", "https://bob:correct-horse@www.example.com"])
    assert run.exit_code == 2
    assert "without a name and a password" in run.stderr
    assert "correct-horse" not in run.output + run.stderr
    assert not (app.extensions["settings"].INSTANCE_PATH / "doctor.json").exists()
