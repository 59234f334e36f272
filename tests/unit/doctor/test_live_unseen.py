"""A live check never says OK of a site that it has not seen: one that is silent, or is somewhere else."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from flask import Flask

from app.platform.doctor import registry
from app.platform.doctor.registry import Finding
from app.platform.doctor.site import Site
from tests.unit.doctor.conftest import assert_seen, look

STILL_ASKED = {"live.answers", "live.tls", "live.bypass"}  # they look at the way, and see it


@contextmanager
def answering(answer: Callable[[socket.socket, bytes], None]) -> Iterator[Site]:
    """A site on loopback; `answer` gets each connection, with what came by it at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # the doctor has hung up
                answer(connection, connection.recv(1 << 20))

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def says(text: str) -> bytes:
    return f"HTTP/1.1 {text}\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def findings(app: Flask, site: Site) -> dict[str, Finding]:
    """Of all live checks."""
    with app.app_context():
        live = [name for name, check in registry.load(app).items() if check.is_live]
    return {name: look(app, name, site=site) for name in live}


def is_well_formed(data: bytes) -> bool:
    return b"flask-doctor" in data  # it sends its malformed ones without a name


@pytest.mark.parametrize("answer", [b"", says("301 Moved\r\nLocation: /elsewhere"), says("404 Not Found")])
def test_a_site_that_refuses_also_what_is_well_formed_has_refused_nothing(answer: bytes, app: Flask) -> None:
    def anything(connection: socket.socket, data: bytes) -> None:
        connection.sendall(says("200 OK") if data.startswith(b"GET / ") else answer)

    with answering(anything) as site:
        assert look(app, "live.malformed", site=site).status == "SKIP"


@pytest.mark.parametrize(
    ("answer", "status"),
    [("301 Moved", "FAIL"), ("502 Bad Gateway", "FAIL"), ("400 Bad Request", "OK"), ("501 No", "OK"), ("", "OK")],
)
def test_only_a_refusal_counts_as_one(answer: str, status: str, app: Flask) -> None:
    def refuse(connection: socket.socket, data: bytes) -> None:
        connection.sendall(says("200 OK") if is_well_formed(data) else says(answer) if answer else b"")

    with answering(refuse) as site:
        found = look(app, "live.malformed", site=site)
        assert (found.status, answer[:3] in found.seen or status == "OK") == (status, True), found


def test_silence_is_no_refusal(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.platform.doctor.live_trust.PATIENCE", 0.5)
    is_over = threading.Event()

    def wait(connection: socket.socket, data: bytes) -> None:
        connection.sendall(says("200 OK")) if is_well_formed(data) else is_over.wait(20)

    with answering(wait) as site:
        assert_seen(look(app, "live.malformed", site=site), "FAIL", "silence")
        is_over.set()


# --- somewhere else ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("https://www.example.org", "https://www.example.org"),
        ("//www.example.org/", "http://www.example.org"),
        ("https://me@www.example.org:8443/a?b", "https://www.example.org:8443"),
    ],
)
def test_of_a_site_that_leads_elsewhere_nothing_is_said(target: str, where: str, app: Flask) -> None:
    with answering(lambda connection, _: connection.sendall(says(f"301 Moved\r\nLocation: {target}"))) as site:
        found = findings(app, site)
    assert_seen(found.pop("live.answers"), "FAIL", f"leads to {where},")
    for name in found.keys() - STILL_ASKED:
        assert found[name].status == "SKIP", (name, found[name])
        assert f"--url {where}" in found[name].seen


def test_a_site_that_leads_to_its_own_https_is_asked_there(app: Flask) -> None:
    with answering(lambda connection, _: connection.sendall(says("308 No\r\nLocation: https://127.0.0.1/"))) as site:
        found = findings(app, site)
    assert "--url https://127.0.0.1" in found["live.answers"].fix
    assert found["live.cors"].status == "SKIP"


def test_a_first_page_may_lead_to_another_of_the_same_site(app: Flask) -> None:
    with answering(lambda connection, _: connection.sendall(says("302 Found\r\nLocation: /auth/login"))) as site:
        assert look(app, "live.answers", site=site).status == "OK"
        assert look(app, "live.cors", site=site).status == "OK"


def test_of_a_site_that_fails_nothing_else_is_said(app: Flask) -> None:
    with answering(lambda connection, _: connection.sendall(says("502 Bad Gateway"))) as site:
        found = findings(app, site)
    assert_seen(found.pop("live.answers"), "FAIL", "502")
    assert {found[name].status for name in found.keys() - STILL_ASKED} == {"SKIP"}


# --- slow ----------------------------------------------------------------------------------------------


def drip(connection: socket.socket, beginning: bytes, piece: bytes = b"x") -> None:
    """A piece every tenth of a second, for two seconds."""
    connection.sendall(beginning)
    for _ in range(20):
        time.sleep(0.1)
        connection.sendall(piece)


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]
)
def test_a_site_that_answers_by_the_byte_is_not_waited_for(
    beginning: bytes, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.platform.doctor.site.PATIENCE", 0.4)
    with answering(lambda connection, _: drip(connection, beginning)) as site:
        found = {name: look_timed(app, name, site) for name in ("live.answers", "live.headers", "live.websocket")}
    assert_seen(found["live.answers"][0], "FAIL", "no answer in 0.4 s")
    assert (found["live.headers"][0].status, found["live.websocket"][0].status) == ("SKIP", "SKIP")
    assert found["live.answers"][1] < 1.9  # of the two seconds that the site would have taken
    assert found["live.headers"][1] < 0.3  # what is known of the first question is not asked again


def look_timed(app: Flask, name: str, site: Site) -> tuple[Finding, float]:
    started = time.monotonic()
    return look(app, name, site=site), time.monotonic() - started


def test_what_comes_for_bytes_is_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.platform.doctor.site.PATIENCE", 0.4)
    with answering(lambda connection, _: drip(connection, says("400 No"))) as site:
        started = time.monotonic()
        assert (site.send(b"GET / HTTP/1.1\r\n\r\n") or b"").startswith(b"HTTP/1.1 400")
        assert time.monotonic() - started < 1.9


def test_an_answer_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.platform.doctor.site.MOST", 1 << 20)
    with answering(lambda connection, _: connection.sendall(says("200 OK") + b"x" * (8 << 20))) as site:
        assert len(site.send(b"GET / HTTP/1.1\r\n\r\n") or b"") <= (1 << 20) + 65536


def test_a_site_that_hangs_is_waited_for_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.platform.doctor.site.PATIENCE", 0.4)
    asked = []
    is_over = threading.Event()

    def hang(connection: socket.socket, data: bytes) -> None:
        asked.append(data)
        is_over.wait(20)

    with answering(hang) as site:
        found = findings(app, site)
        is_over.set()
    assert_seen(found["live.answers"], "FAIL", "no answer in 0.4 s")
    assert len([data for data in asked if is_well_formed(data)]) == 1
