"""Which findings of `flask doctor` the tests have seen; judged when all of them are done, as a plugin of pytest.

A check that was never seen failing may be one that can not fail, and one that was never seen good cries wolf. So each
`warn()` and `fail()` in the code of a check has to be seen, and an OK of each check. `look()` of tests/unit says.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.platform.doctor.registry import Check, Finding
from config import ROOT

TESTS = Path(__file__).parent
WITH_SERVERS = {  # what is shown with a real PostgreSQL, Redis or mail server, and where
    "servers/doctor": {"db.role", "db.encrypted", "db.connections", "redis.memory"},
    "servers/mail": {"mail.server"},
}
OF_EXTRAS = {"settings": "live_settings"}  # area of a check of the platform -> the extra whose tests show it

Place = tuple[str, int]  # the file of a check, and the line of a warn() or fail() in it
_seen: set[tuple[str, str]] = set()  # id and status
_said: set[Place] = set()
_registered: dict[str, list[Place]] = {}  # id and its warn() and fail()


def remember(checks: dict[str, Check], asked: Check, finding: Finding) -> None:
    """`checks`: all that there are, of which one was asked."""
    _seen.add((asked.id, finding.status))
    for check in checks.values():
        if check.id not in _registered:
            _registered[check.id] = list(ways_to_fail(check))


def ways_to_fail(check: Check) -> Iterator[Place]:
    """The places in the code of a check that say WARN or FAIL."""
    lines, first = inspect.getsourcelines(check.function)
    for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"fail", "warn"}:
            yield check.function.__code__.co_filename, first + node.lineno - 1


def unproven(
    registered: dict[str, list[Place]], seen: Iterable[tuple[str, str]], said: Iterable[Place]
) -> dict[str, str]:
    """Ids with what no test has shown."""
    seen, said, found = set(seen), set(said), {}
    for identity, places in registered.items():
        if (identity, "OK") not in seen:
            found[identity] = "was never seen good"
        if not {(identity, "WARN"), (identity, "FAIL")} & seen:
            found[identity] = "was never seen failing"
        elif silent := [f"{line}" for file, line in places if (file, line) not in said]:
            found[identity] = f"never said what is in line {', '.join(silent)} of {places[0][0]}"
    return found


def _note_who_says_it() -> None:
    make = Finding.__init__

    def made(self: Finding, status: Any, seen: str, fix: str = "") -> None:
        make(self, status, seen, fix)
        caller = sys._getframe(2)  # behind warn() or fail()
        _said.add((caller.f_code.co_filename, caller.f_lineno))

    Finding.__init__ = made  # type: ignore[method-assign]


def pytest_configure() -> None:
    _note_who_says_it()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a process of pytest-xdist has seen."""
    output = getattr(node, "workeroutput", {}).get("doctor", {})
    _seen.update(map(tuple, output.get("seen", ())))
    _said.update(map(tuple, output.get("said", ())))
    _registered.update({name: [(file, line) for file, line in places] for name, places in output.get("all", ())})


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        files = {file for places in _registered.values() for file, _ in places}
        said = [list(place) for place in _said if place[0] in files]
        everything = [[name, [list(place) for place in places]] for name, places in _registered.items()]
        output["doctor"] = {"seen": [list(pair) for pair in _seen], "said": said, "all": everything}
    elif session.exitstatus == pytest.ExitCode.OK and (judged := _judged(session.config)):
        missing = unproven({name: _registered.get(name, []) for name in judged}, _seen, _said)
        writer = session.config.get_terminal_writer()
        for identity, what in sorted(missing.items()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            writer.line(f"\nNo test shows what flask doctor finds: {identity} {what}.", red=True)


def _judged(config: pytest.Config) -> set[str]:
    """The ids of the checks whose tests have all been asked for."""
    option = config.option
    if (
        option.keyword
        or option.markexpr not in {"", "not alone", "not alone and not windows"}
        or option.deselect
        or option.collectonly
        or getattr(option, "lf", False)
    ):
        return set()
    chosen = [Path(argument).resolve() for argument in config.args]
    left_out = [Path(path).resolve() for path in option.ignore or ()]

    def are_asked_for(*places: Path) -> bool:
        def lies_in(folders: list[Path], place: Path) -> bool:
            return any(place.is_relative_to(folder) for folder in folders)

        return all(lies_in(chosen, place) and not lies_in(left_out, place) for place in places)

    judged: set[str] = set()
    if are_asked_for(TESTS / "unit/doctor", *TESTS.glob("features/*/test_doctor.py")):
        gone = {area for area, extra in OF_EXTRAS.items() if not (ROOT / "app/extras" / extra).exists()}
        judged = {name for name in _registered if name.partition(".")[0] not in gone}
    for folder, identities in WITH_SERVERS.items():
        judged -= identities
        if (TESTS / folder).exists() and are_asked_for(TESTS / folder):
            judged |= identities
    return judged
