"""The processes beside the web workers, as their parent sees them."""

import subprocess
import sys

import pytest

# Gunicorn's master reaps every child, also those that are not its workers; then nobody else is told how they ended.
REAPED = """
{patch}
import time
from gevent.monkey import get_original
from serving.companions import Companion

companion = Companion("sleeps", ["-c", "input()"], patience=20)
companion.watch(print)
first = companion._process.pid
companion.let_go()
get_original("os", "waitpid")(first, 0)
began = time.monotonic()
ended = []
while not ended:
    assert time.monotonic() < began + 10, "its end is not noticed"
    companion.watch(ended.append)
assert ended == [first]
while not companion._process:
    companion.watch(print)
    time.sleep(0.05)
second = companion._process.pid
assert second != first
companion.release()
get_original("os", "waitpid")(second, 0)
assert companion.is_gone()
companion.kill()
"""


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"], ids=["gthread", "gevent"])
def test_the_end_of_one_is_noticed_whoever_reaped_it(patch: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REAPED.format(patch=patch)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
