"""Visitors notice nothing of deploys, broken deploys and rollbacks."""

import subprocess
import sys

import pytest

from benchmarks.servers import ROOT


@pytest.mark.alone  # a broken release has to be refused within a minute
@pytest.mark.timeout(300)
def test_deploys_and_rollbacks_lose_no_request_and_no_write() -> None:
    paced = ["--think", "0.1"]  # 100 requests a second: as many as there can be leave the deploy too little
    command = [sys.executable, "-m", "benchmarks.deploys", "--deploys", "1", "--requests", "1000", *paced]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=290, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
