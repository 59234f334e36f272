import subprocess
import sys

from benchmarks.servers import ROOT


def test_the_benchmark_prints_its_figures() -> None:
    command = [sys.executable, "-m", "benchmarks.registry.moments", "--rounds", "1"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert "Traceback" not in completed.stderr, completed.stderr
    assert "when it hangs" in completed.stdout
