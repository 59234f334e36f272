"""Work done by several processes at the same moment, as the workers of a server do it."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

# Not "fork": the test process has threads. The fork server loads the application once for all.
_context = multiprocessing.get_context("spawn" if os.name == "nt" else "forkserver")
if os.name != "nt":
    _context.set_forkserver_preload(["pytest", "app", "alembic.command"])


def in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(*arguments)` returned in each of `count` processes that began together."""
    barrier, results = _context.Barrier(count), _context.SimpleQueue()
    processes = [_context.Process(target=_run, args=(barrier, results, work, arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count
    return [results.get() for _ in processes]


def _run(barrier: Any, results: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    barrier.wait(30)
    results.put(work(*arguments))
