"""The loop of benchmarks/worker/loop.py: one of all workers runs it, and when that one dies another goes on."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.servers import ROOT, environment
from tests.servers.running import Running, wait_until

ROUND = re.compile(r"([\d.]+) process (\d+) holder (\d+) round \d+")


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url} if request.param == "postgresql" else {}


def rounds(processes: list[Running]) -> list[tuple[float, int, int]]:
    """When, by whom, as the how manyeth holder; in the order of time."""
    found = [ROUND.match(line) for process in processes for line in process.lines]
    return sorted((float(one[1]), int(one[2]), int(one[3])) for one in found if one)


def test_one_runs_it_and_when_it_is_killed_another_goes_on(settings: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.worker.loop", "--seconds", "0.5", "--rounds", "1000"]
    processes = [Running(command, cwd=ROOT, env=environment(tmp_path, **settings)) for _ in range(3)]
    try:
        for _ in range(2):
            seen = len(rounds(processes))
            wait_until(lambda seen=seen: len(rounds(processes)) >= seen + 3, 40)
            os.kill(rounds(processes)[-1][1], signal.SIGKILL)
        seen = len(rounds(processes))
        wait_until(lambda: len(rounds(processes)) >= seen + 3, 40)
    finally:
        for process in processes:
            process.kill()
    holders = [holder for _, _, holder in rounds(processes)]
    assert holders == sorted(holders), "no two at a time"
    assert len({(pid, holder) for _, pid, holder in rounds(processes)}) == 3, "each of them once"
