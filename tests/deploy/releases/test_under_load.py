"""Visitors notice nothing of deploys, broken deploys and rollbacks."""

import subprocess
import sys

import pytest

from benchmarks.servers import ROOT


@pytest.mark.alone  # under all the load of the benchmark, a broken release has to be refused within a minute
@pytest.mark.timeout(300)
def test_deploys_and_rollbacks_lose_no_request_and_no_write() -> None:
    command = [sys.executable, "-m", "benchmarks.deploys", "--deploys", "1", "--requests", "1000"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=290, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
