"""What the whole production stack costs per request, against bare Flask with a secret key.

In-process, no server: each variant is called as a WSGI application, in interleaved rounds, CPU time, medians.
The stack has everything bound: gateway, sessions, CSRF, database, cache, static files, multiprocess metrics, JSON
access log (into the null device), forwarded headers from one trusted proxy. Bar: at most 12 µs over bare Flask.

    python -m benchmarks.stack [--rounds 15] [--requests 2000]
"""

import argparse
import gc
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BAR = 12.0  # µs
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="groundwork-bench-")  # before prometheus_client

from flask import Flask  # noqa: E402

from app import create_app  # noqa: E402
from config import ProductionConfig  # noqa: E402


def view() -> str:
    return "Hello"


def bare(secret: str | None) -> Flask:
    app = Flask("bare")
    app.secret_key = secret
    app.add_url_rule("/plain", view_func=view)
    return app


def production() -> Flask:
    app = create_app(ProductionConfig(INSTANCE_PATH=Path(tempfile.mkdtemp()), TRUSTED_PROXIES=1))
    app.add_url_rule("/plain", view_func=view)
    return app


def environ() -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/plain",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "app.example.com",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "HTTP_ACCEPT": "*/*",
        "HTTP_X_FORWARDED_FOR": "203.0.113.7",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "app.example.com",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
    assert status == "200 OK", status


def microseconds(application: Callable[..., Any], requests: int) -> float:
    template = environ()
    started = time.process_time()
    for _ in range(requests):
        body = application(dict(template), start_response)
        for _chunk in body:
            pass
        if close := getattr(body, "close", None):
            close()
    return (time.process_time() - started) / requests * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()

    applications = {
        "bare Flask": bare(None),
        "bare Flask, secret key": bare("x" * 48),
        "Groundwork": production(),
    }
    log = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the access log is written, to nowhere
    figures: dict[str, list[float]] = {name: [] for name in applications}
    for application in applications.values():
        microseconds(application, 500)  # warm
    gc.collect()
    gc.freeze()  # as gunicorn.conf.py does for its workers
    for _ in range(arguments.rounds):
        for name, application in applications.items():
            figures[name].append(microseconds(application, arguments.requests))
    os.dup2(log, 2)

    for name, rounds in figures.items():
        print(f"{name:<24} {statistics.median(rounds):7.1f} µs   (min {min(rounds):.1f}, {len(rounds)} rounds)")
    base = figures["bare Flask, secret key"]
    cost = statistics.median(ours - bare_ for ours, bare_ in zip(figures["Groundwork"], base, strict=True))
    print(f"the stack costs {cost:+.1f} µs over bare Flask with a secret key (bar: {BAR:+.0f} µs)")
    return 0 if cost <= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
