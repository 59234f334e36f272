"""Each benchmark runs and prints its figure. What it counts must be right here; what it times is judged by a person."""

import subprocess
import sys

import pytest

from benchmarks.servers import ROOT


def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.parametrize(
    ("name", "options", "figure"),
    [
        ("stack", ["--rounds", "3", "--requests", "300"], "µs over bare Flask with a secret key"),
        ("reload", ["--reloads", "1", "--requests", "500"], " 0 failed"),
        ("writes", [], ": 0 lost, 0 locked"),
        ("acknowledged", ["--rounds", "3"], " 0 lost, 0 damaged databases"),
        ("silent", ["--seconds", "2"], ", 0 failed"),
        ("waiting", ["--seconds", "2"], ", 0 failed"),
        ("waitress_processes", ["--rounds", "1"], "times as many as 1"),
        ("start", ["--again", "1"], "second start: "),
        ("metrics", ["--rounds", "1"], "the counts are true"),
        ("cross_origin", ["--rounds", "1"], "ours: 0 failed"),
    ],
)
def test_a_benchmark_prints_its_figure(name: str, options: list[str], figure: str) -> None:
    completed = run(name, *options)
    assert "Traceback" not in completed.stderr, completed.stderr
    assert completed.returncode in {0, 1}, completed.stderr
    assert figure in completed.stdout.splitlines()[-1], completed.stdout


def test_four_workers_stay_within_their_memory() -> None:
    completed = run("memory")
    assert completed.returncode == 0, completed.stdout + completed.stderr
