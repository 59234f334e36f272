"""Is this process alive, and may it get traffic? Answered before Flask: any Host, no session, no log line.

`/health` (and `/up`) touches nothing: an orchestrator restarts what fails it, and a restart mends no database.
`/ready` asks the database, and says 503 with reasons: a load balancer then sends the traffic elsewhere.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

from flask import Flask

from app.extensions import db
from app.platform import migrations
from config import Config

_log = logging.getLogger("groundwork.health")
Answer = tuple[str, bytes]  # status line, JSON body


def alive(environ: dict[str, Any]) -> Answer:
    return "200 OK", b'{"status":"alive"}\n'


class Readiness:
    """Says whether requests should come here: not while draining, not before the database is migrated."""

    def __init__(self, app: Flask, settings: Config, version: str) -> None:
        self._app = app
        self._instance = settings.INSTANCE_PATH
        self._version = version

    def __call__(self, environ: dict[str, Any]) -> Answer:
        problems: list[str] = []
        warnings: list[str] = []
        if draining(self._instance):
            problems.append("draining: this server is about to stop")
        try:
            with self._app.app_context(), db.engine.connect() as connection:
                state = migrations.state(connection)
        except Exception as error:
            _log.warning("not ready, the database does not answer: %s", error)
            problems.append("database: does not answer")
        else:
            if state == "behind":
                problems.append("database: behind the code, run `flask db upgrade`")
            elif state == "newer":
                warnings.append("database: newer than the code, as after a rollback")
        status = "unavailable" if problems else "ready"
        body = {"status": status, "version": self._version, "problems": problems, "warnings": warnings}
        return "503 Service Unavailable" if problems else "200 OK", json.dumps(body).encode() + b"\n"


def drain_mark(instance: Path, pid: int) -> Path:
    """While this file exists, the server whose parent process is `pid` answers /ready with 503."""
    return instance / f"drain-{pid}"


def draining(instance: Path) -> bool:
    # The mark names the parent (or the single process), so that a stale one stops no later server.
    return any(drain_mark(instance, pid).exists() for pid in (os.getppid(), os.getpid()))
