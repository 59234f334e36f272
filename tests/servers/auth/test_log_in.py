"""Log-ins of known and of unknown names look alike on a real server; how long they take is judged by a person."""

import subprocess
import sys

from benchmarks.servers import ROOT


def test_the_answers_for_known_and_for_unknown_names_are_the_same() -> None:
    command = [sys.executable, "-m", "benchmarks.auth.log_in", "--tries", "40"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert "all answers look alike" in completed.stdout, completed.stdout + completed.stderr
    assert "tell them apart" in completed.stdout.splitlines()[-1]
