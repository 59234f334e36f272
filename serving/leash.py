"""A process on a leash: its stdin, whose end tells it to leave. Works on Windows too, and when the parent is killed.

python -m serving.leash flask --app wsgi worker      runs the module, for which the end of stdin is a SIGTERM
"""

import _thread
import os
import runpy
import signal
import sys
import threading
import time
from typing import IO


def take_stdin() -> IO[bytes]:
    """Move stdin out of the application's way: on Windows its subprocesses would hang on a pipe being read."""
    leash = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return open(leash, "rb", buffering=0)


def leave_at_end_of(leash: IO[bytes]) -> None:
    leash.read(1)
    while True:  # it may not be listening yet
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(0.5)


def main() -> None:
    threading.Thread(target=leave_at_end_of, args=(take_stdin(),), daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
