"""What a page of docs/ says to type, typed: stand-ins for programs that need an account, a cluster or an engine."""

import re
import subprocess
from pathlib import Path

from config import ROOT

STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >>"$ASKED"
case "${0##*/} $*" in "${FAILS:-nothing}"*) exit 1 ;; esac
case "$1 $3" in
  "inspect {{.State.Health.Status}}") echo healthy ;;
  "inspect {{.State.Running}}") echo true ;;
  "run "*) echo a-container ;;
esac
"""


def lines_of(page: str, heading: str, number: int = 0) -> str:
    """The block of commands with this number below the heading."""
    section = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n{heading}")[2]
    return re.findall(r"(?s)```sh\n(.*?)```", section)[number]  # type: ignore[no-any-return]


def type_with_stand_ins(lines: str, project: Path, *programs: str, fails: str = "") -> list[str]:
    """What each of the programs was asked, in order."""
    folder, asked = project.parent / "stand-ins", project.parent / "asked"
    folder.mkdir(exist_ok=True)
    asked.write_text("")
    for program in programs:
        (folder / program).write_text(STAND_IN)
        (folder / program).chmod(0o755)
    env = {"PATH": f"{folder}:/usr/bin:/bin", "ASKED": str(asked), "FAILS": fails}
    options = {"env": env, "capture_output": True, "text": True, "timeout": 60, "check": False}
    done = subprocess.run(["bash", "-c", lines], cwd=project, **options)  # type: ignore[call-overload]
    assert (done.returncode == 0) is not bool(fails), done.stderr
    return asked.read_text().splitlines()
