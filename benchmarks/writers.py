"""Clients that write row after row through a real server, and know which ones were acknowledged.

Each posts 1, 2, 3 … to benchmarks/entries.py. A database is right when it has, of every writer, all rows from the
first up to one that is not before the last acknowledged row.
"""

import http.client
import threading
from collections import Counter

from sqlalchemy import create_engine, make_url, text

ENTRIES = "benchmarks.entries:app"


class Writers:
    """`with Writers(port) as writers:`; a writer whose request fails sends the same row again, or ends."""

    def __init__(self, port: int, names: range = range(4), patient: bool = True) -> None:
        self.acknowledged: dict[int, int] = dict.fromkeys(names, 0)
        self.asked: dict[int, int] = dict.fromkeys(names, 0)
        self.outcomes: Counter[str] = Counter()
        self._port, self._patient = port, patient
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in names]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, name: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        while not self._stop.is_set():
            number = self.asked[name] = self.acknowledged[name] + 1
            try:
                connection.request("POST", f"/entries/{name}/{number}")
                response = connection.getresponse()
                response.read()
                outcome = str(response.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            self.outcomes[outcome] += 1
            if outcome == "200":
                self.acknowledged[name] = number
            elif not self._patient:
                break
        connection.close()


def written(url: str) -> dict[int, int]:
    """How many rows each writer has in the database; raises AssertionError when one is missing in between."""
    engine = create_engine(make_url(url.replace("postgres://", "postgresql+psycopg://")))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT writer, count(*), max(number) FROM benchmark_entries GROUP BY writer"))
        found = {writer: (count, highest) for writer, count, highest in rows}
    engine.dispose()
    gaps = {writer: pair for writer, pair in found.items() if pair[0] != pair[1]}
    assert not gaps, f"rows are missing in between: {gaps}"
    return {writer: count for writer, (count, _) in found.items()}
