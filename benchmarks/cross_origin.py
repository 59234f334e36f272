"""A page of another origin sends forty requests at once, from Chromium, to a view that waits 50 ms: to ten lines of
Flask under `app.run`, and to this application under Gunicorn and Waitress. Bar: ours answer all of them, whatever else
goes on, and take at most a quarter of the time of the server with one thread.

    python -m benchmarks.cross_origin [--rounds 5] [--picture docs/img/forty-requests.png]
"""

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.servers import flask, gunicorn, running, waitress
from tests.browser.conftest import CHROMIUM, QUIET, sync_api
from tests.servers.running import Running, free_port, get

REQUESTS, WAIT = 40, 50  # per page; milliseconds
PEOPLE = 3  # each with a browser of their own, which keeps to 6 connections
PATIENCE = 5000  # milliseconds; what vue-element-admin gives axios, whose own default is to wait for ever
SHARE = 0.25  # of the one-thread server's time
PAGE = Path(__file__).with_suffix(".html").read_bytes()

ALONE, TOGETHER = "one page", f"{PEOPLE} people, 5 s"
ONE_THREAD, THREADS = "app.run(threaded=False)", "app.run()"
TEN_LINES = """
import sys, time
from flask import Flask
app = Flask(__name__)

@app.after_request
def allow(response):
    response.headers["Access-Control-Allow-Origin"] = sys.argv[2]
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Allow-Headers"] = "X-Request-ID"
    return response

@app.get("/wait/<int:milliseconds>")
def wait(milliseconds):
    time.sleep(milliseconds / 1000)
    return "waited"

app.run(port=int(sys.argv[1]), debug=True, threaded=sys.argv[3] == "threads")
"""

Answers = list[dict[str, Any]]
Serve = Callable[[], AbstractContextManager[Running]]


@contextmanager
def another_origin() -> Iterator[str]:
    """The origin of a server that has nothing but cross_origin.html, at every path."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def servers(folder: Path, origin: str) -> dict[str, Serve]:
    """How to start each server, by name; `origin` is the page's."""
    script, instance = folder / "ten_lines.py", folder / "instance"
    script.write_text(TEN_LINES)
    instance.mkdir()
    flask(instance, "db", "upgrade")

    def app_run(threads: str) -> AbstractContextManager[Running]:
        port = free_port()
        return running([sys.executable, str(script), str(port), origin, threads], folder, port, "/wait/0")

    return {
        ONE_THREAD: lambda: app_run("one"),
        THREADS: lambda: app_run("threads"),
        "Gunicorn": lambda: gunicorn(instance, "-w", "2", CORS_ORIGINS=origin),
        "Waitress": lambda: waitress(instance, 2, CORS_ORIGINS=origin),
    }


class Browser:
    """Chromium on the page of another origin. Every situation has windows of its own, which share no connection: one
    that Chromium opened ahead and left unused would hold up a server with one thread in the next situation as well.
    """

    def __init__(self, chromium: Any, origin: str, port: int) -> None:
        self._chromium, self._origin, self._port = chromium, origin, port
        self._address = f"http://127.0.0.1:{port}/wait"
        self._asked = 0

    def alone(self) -> Answers:
        with self._windows(1) as pages:
            return self._send(pages, None)[0]

    def together(self) -> list[Answers]:
        with self._windows(PEOPLE) as pages:
            return self._send(pages, PATIENCE)

    def beside_a_silent_connection(self) -> Answers:
        with self._windows(1) as pages, socket.create_connection(("127.0.0.1", self._port)):
            return self._send(pages, PATIENCE)[0]

    def at_a_view_that_raises(self) -> str:
        """What the page learns: a status, or else what the browser says on its console."""
        said: list[str] = []
        with self._windows(1) as (page,):
            page.on("console", lambda message: said.append(message.text))
            status = page.evaluate("async url => (await ask(url)).status", f"{self._address}/{'9' * 30}")
        return f"status {status}" if status else said[0].partition("has been ")[2]

    @contextmanager
    def _windows(self, count: int) -> Iterator[list[Any]]:
        self._let_it_finish()
        contexts = [self._chromium.new_context() for _ in range(count)]
        pages = [context.new_page() for context in contexts]
        for page in pages:
            page.goto(self._origin)
        yield pages
        for context in contexts:
            context.close()

    def _send(self, pages: list[Any], patience: int | None) -> list[Answers]:
        for page in pages:
            page.evaluate("([urls, patience]) => { window.answers = askAll(urls, patience) }", [self._urls(), patience])
        return [page.evaluate("answers") for page in pages]

    def _let_it_finish(self) -> None:
        """What a page has given up may still be in the server's queue."""
        get(self._port, "/wait/0", timeout=30)

    def _urls(self) -> list[str]:
        """Each of its own: a browser remembers for an address that it may ask."""
        self._asked += REQUESTS
        return [f"{self._address}/{WAIT}?n={self._asked + number}" for number in range(REQUESTS)]


def answered(answers: Answers) -> int:
    return sum(answer["status"] == 200 for answer in answers)


def total(answers: Answers) -> float:
    """Milliseconds from the first that was sent to the last that ended."""
    return float(max(answer["end"] for answer in answers) - answers[0]["start"])


def middle(pages: list[Answers]) -> Answers:
    """Of several pages, or of one several times, that which did neither best nor worst."""
    return sorted(pages, key=lambda answers: (-answered(answers), total(answers)))[len(pages) // 2]


def told(pages: list[Answers]) -> str:
    count, shown = sum(map(answered, pages)), middle(pages)
    failed = f"{count:3} answered, {len(pages) * REQUESTS - count:2} failed"
    longest = max(answer["end"] - answer["start"] for answer in shown)
    return f"{failed}, a page {total(shown):4.0f} ms, its longest {longest:4.0f} ms"


def measure(browser: Browser, rounds: int) -> dict[str, list[Answers]]:
    """What pages got, by situation."""
    return {
        ALONE: [browser.alone() for _ in range(rounds)],
        TOGETHER: browser.together(),
        "silent connection, 5 s": [browser.beside_a_silent_connection()],
    }


def draw(chromium: Any, origin: str, measured: dict[str, dict[str, list[Answers]]], file: Path) -> None:
    details = {
        ONE_THREAD: ("app.run", "threaded=False: one thread"),
        "Gunicorn": ("Gunicorn", "this application, 2 workers"),
        "Waitress": ("Waitress", "this application, 2 processes"),
    }
    panels = [
        {"name": name, "detail": detail, "answers": middle(measured[server][TOGETHER])}
        for server, (name, detail) in details.items()
    ]
    situation = (
        f"Three people open a page at the same moment. Each page sends {REQUESTS} requests to an API on another "
        f"origin, where each takes {WAIT} ms, and gives up after {PATIENCE // 1000} s."
    )
    caption = (
        "given up without an answer. One line per request, from its sending to its answer, in the page that was in the "
        f"middle of the three. Measured in Chromium, on one machine with {os.cpu_count()} CPUs."
    )
    window = chromium.new_context(viewport={"width": 900, "height": 400}, device_scale_factor=4 / 3).new_page()
    window.goto(origin)
    window.evaluate("parts => draw(...parts)", ["Forty requests at once", situation, panels, caption])
    window.screenshot(path=file, full_page=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw what the three people saw")
    arguments = parser.parse_args()
    measured: dict[str, dict[str, list[Answers]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        another_origin() as origin,
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET) as chromium,
    ):
        for name, serve in servers(Path(folder), origin).items():
            with serve() as server:
                browser = Browser(chromium, origin, server.port)
                measured[name] = measure(browser, arguments.rounds)
                for situation, pages in measured[name].items():
                    print(f"{name:24} {situation:23} {told(pages)}")
                print(f"{name:24} {'a view that raises':23} {browser.at_a_view_that_raises()}")
        if arguments.picture:
            draw(chromium, origin, measured, arguments.picture)
    ours = measured["Gunicorn"], measured["Waitress"]
    failed = sum(REQUESTS - answered(page) for server in ours for pages in server.values() for page in pages)
    slowest = max(total(middle(server[ALONE])) for server in ours)
    share = slowest / total(middle(measured[ONE_THREAD][ALONE]))
    print(f"ours: {failed} failed, {share:.2f} of the time with one thread (bar: 0, {SHARE})")
    return 0 if not failed and share <= SHARE else 1


if __name__ == "__main__":
    raise SystemExit(main())
