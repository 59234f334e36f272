"""Log-ins of known and of unknown names take turns. Bar: nobody can tell them apart, neither by time nor by answer.

The medians differ by less than 5 %, status and length not at all (the 200 tries each of OWASP's testing guide).
40 accounts and an address for each try, so that the limit of tries never answers.

    python -m benchmarks.auth.log_in [--tries 200]
"""

import argparse
import http.client
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.servers import flask, gunicorn
from benchmarks.visitor import Visitor

BAR = 5  # % of the median for a known name
ACCOUNTS = 40  # of the ten tries that each name has, every one uses 5
PASSWORD = "correct horse battery"


@dataclass
class Answer:
    status: int
    length: int
    seconds: float


class Guest(Visitor):
    """Somebody at the log-in form, who says through the X-Forwarded-For of a proxy which address is theirs."""

    def __init__(self, port: int, address: str, form_at: str = "/auth/login") -> None:
        self.port, self.address = port, address
        super().__init__(port, form_at)

    def headers(self) -> dict[str, str]:
        return super().headers() | {"X-Forwarded-For": self.address}

    def post(self, path: str, **fields: str) -> Answer:
        """On a connection of its own, as the next worker that is free answers it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        started = time.perf_counter()
        try:
            connection.request("POST", path, urlencode({"csrf_token": self.token} | fields), self.headers())
            response = connection.getresponse()
            length = len(response.read())
            self._keep_cookies(response)
        finally:
            connection.close()
        return Answer(response.status, length, time.perf_counter() - started)

    def log_in(self, name: str, password: str) -> Answer:
        return self.post("/auth/login", name=name, password=password)


def register(port: int, name: str, address: str) -> Guest:
    """Who has just made an account, and is logged in."""
    with Guest(port, address, "/auth/register") as guest:
        answer = guest.post("/auth/register", name=name, password=PASSWORD)
        assert answer.status == 303, answer
    return guest


def addresses() -> list[str]:
    """Each once: the network for benchmarks (RFC 2544) has room for all tries."""
    return [f"198.18.{block}.{number}" for block in range(20) for number in range(1, 255)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=200)
    tries = parser.parse_args().tries
    answers: dict[str, list[Answer]] = {"member": [], "nobody": []}  # names of the same length
    free = iter(addresses())
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        flask(instance, "db", "upgrade")
        settings = {"application": "wsgi:app", "TRUSTED_PROXIES": 1, "LOG_LEVEL": "ERROR"}
        with gunicorn(instance, "-w", "2", **settings) as server:
            for number in range(ACCOUNTS):
                register(server.port, f"member{number:02}", next(free))
            with Guest(server.port, "") as guest:
                for number in range(tries):
                    for kind in sorted(answers, reverse=bool(number % 2)):  # who is first takes turns, too
                        guest.address = next(free)
                        answers[kind].append(guest.log_in(f"{kind}{number % ACCOUNTS:02}", "wrong password"))
    known, unknown = (statistics.median(answer.seconds for answer in answers[kind]) * 1000 for kind in answers)
    seen = {(answer.status, answer.length) for kind in answers for answer in answers[kind]}
    difference = abs(known - unknown) / known * 100
    looks = "all answers look alike" if len(seen) == 1 else f"answers differ: {sorted(seen)}"
    print(f"log-in of a known name {known:.2f} ms, of an unknown one {unknown:.2f} ms, {looks}")
    print(f"{difference:.1f} % of the median of {tries} tries each tell them apart (bar: {BAR} %)")
    return 0 if difference < BAR and len(seen) == 1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
