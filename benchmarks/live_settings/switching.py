"""Edits the live settings of servers under load. Bar: all processes have switched after 2 s, 0 failed requests.

python -m benchmarks.live_settings.switching [--edits 6] [--clients 12]
"""

import argparse
import http.client
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import flask, gunicorn, waitress

BAR = 2.0  # seconds
SEEN = "benchmarks.live_settings.seen:app"


class Answer(NamedTuple):
    sent: float  # time.monotonic()
    pid: str
    text: str


class Visitors:
    """Clients that ask `/seen` as often as they can, each time on a connection of its own, and note every answer."""

    def __init__(self, port: int, clients: int) -> None:
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _visit(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
            sent = time.monotonic()
            try:
                connection.request("GET", "/seen")
                response = connection.getresponse()
                body = response.read().decode()
                if response.status == 200:
                    self.answers.append(Answer(sent, *body.split(" ", 1)))
                else:
                    self.failures.append(str(response.status))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(type(error).__name__)
            finally:
                connection.close()

    def processes(self) -> set[str]:
        return {answer.pid for answer in self.answers}

    def seconds_until_all_have(self, text: str, edited: float) -> float:
        """From the edit until the last request that was still answered from before it; by then it is over."""
        late = [answer.sent for answer in self.answers if answer.sent >= edited and answer.text != text]
        return max(late, default=edited) - edited


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path, text: str) -> None:
    draft = path.with_name("draft")
    draft.write_text(text)
    draft.replace(path)


def swap(path: Path, text: str) -> None:
    """As a ConfigMap changes: the link `..data` leads to another folder."""
    folder = path.parent / f"..{time.monotonic_ns()}"
    folder.mkdir()
    (folder / path.name).write_text(text)
    (path.parent / "..data_tmp").symlink_to(folder.name)
    (path.parent / "..data_tmp").replace(path.parent / "..data")
    if not path.is_symlink():
        path.unlink(missing_ok=True)
        path.symlink_to(f"..data/{path.name}")


WAYS: tuple[Callable[[Path, str], None], ...] = (replace, in_place, swap)


def measure(visitors: Visitors, path: Path, edits: int) -> list[float]:
    """The seconds that each edit took; the ways to edit take turns."""
    seconds = []
    for number in range(edits):
        text, edited = f"edit {number}", time.monotonic()
        WAYS[number % len(WAYS)](path, f'[banner]\ntext = "{text}"\n')
        time.sleep(BAR * 1.5)
        seconds.append(visitors.seconds_until_all_have(text, edited))
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=6)
    parser.add_argument("--clients", type=int, default=12)
    arguments = parser.parse_args()

    good = True
    for name, processes in (("Gunicorn", 8), ("Waitress", 4)):
        with tempfile.TemporaryDirectory() as folder:
            instance, path = Path(folder), Path(folder, "switches", "live.toml")
            path.parent.mkdir()
            flask(instance, "db", "upgrade")
            settings = {"LIVE_SETTINGS": path, "THREADS": 16}
            started = (
                gunicorn(instance, "-w", str(processes), application=SEEN, **settings)
                if name == "Gunicorn"
                else waitress(instance, processes, application=SEEN, **settings)
            )
            with started as server, Visitors(server.port, arguments.clients) as visitors:
                seconds = measure(visitors, path, arguments.edits)
        print(
            f"{name}, {len(visitors.processes())} of {processes} processes: {arguments.edits} edits, the slowest was "
            f"in force everywhere after {max(seconds):.2f} s (bar: {BAR:.0f} s); {len(visitors.answers)} requests, "
            f"{len(visitors.failures)} failed {sorted(set(visitors.failures))}"
        )
        good &= max(seconds) <= BAR and not visitors.failures and len(visitors.processes()) == processes
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
