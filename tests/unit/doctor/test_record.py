"""What judges the tests of the checks would notice a check that no test shows failing, or good."""

from pathlib import Path

import pytest

from app.platform.doctor.registry import Check, Deployment, Finding, fail, ok, warn
from tests.doctor_record import unproven, ways_to_fail

PLACES = {"made.up": [("made.py", 3), ("made.py", 5)]}
BOTH = [("made.up", "OK"), ("made.up", "FAIL")]


@pytest.mark.parametrize(
    ("seen", "said", "what"),
    [
        (BOTH, PLACES["made.up"], None),
        (BOTH[:1], PLACES["made.up"], "was never seen failing"),
        (BOTH[1:], PLACES["made.up"], "was never seen good"),
        ([], [], "was never seen failing"),
        ([*BOTH[:1], ("made.up", "SKIP")], PLACES["made.up"], "was never seen failing"),
        (BOTH, PLACES["made.up"][:1], "never said what is in line 5 of made.py"),
    ],
)
def test_what_was_not_shown_is_named(
    seen: list[tuple[str, str]], said: list[tuple[str, int]], what: str | None
) -> None:
    assert unproven(PLACES, seen, said) == ({"made.up": what} if what else {})


def test_each_warning_and_failure_of_a_check_has_a_place() -> None:
    def made(deployment: Deployment) -> Finding:
        """Is it so?"""
        if deployment.root.exists():
            return fail(
                "It is not.",
                "mend it",
            )
        return warn("Hardly.", "mend it") if deployment.environ else ok("It is.")

    first = made.__code__.co_firstlineno
    places = list(ways_to_fail(Check("made.up", "Is it so?", "", made, False, False)))
    assert places == [(str(Path(__file__)), first + 3), (str(Path(__file__)), first + 7)]
