"""Programs that send slowly hold no connection to the database, and nobody else waits for them."""

import http.client
import json
import socket
import time
from pathlib import Path

from benchmarks.servers import flask, gunicorn
from tests.servers.auth.people import register
from tests.servers.running import get

SLOW = 12  # more than the pool of 4 + 4 connections below


def token(port: int) -> str:
    with register(port, "grace") as visitor:
        visitor.open("/auth/account/tokens")
        page = visitor.read("/auth/account/tokens", "&name=slow&scopes=tokens:write&days=1")
    return page.partition("<code>")[2].partition("</code>")[0]


def test_bodies_that_never_come_take_no_connection_from_others(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "THREADS": 4, "WORKER_CLASS": "gevent"}
    flask(tmp_path, "db", "upgrade", DATABASE_URL=database_url)
    with gunicorn(tmp_path, "-w", "1", application="wsgi:app", **settings) as server:
        secret = token(server.port)
        head = f"POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        waiting = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(SLOW)]
        for connection in waiting:
            connection.sendall(head.encode())
        time.sleep(0.5)
        started = time.monotonic()
        assert [get(server.port, "/ready")[0] for _ in range(5)] == [200] * 5
        program = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        program.request("POST", "/api/v1/tokens", json.dumps({"name": "quick"}), headers)
        assert program.getresponse().status == 201
        assert time.monotonic() - started < 3
        program.close()
        for connection in waiting:
            connection.close()
