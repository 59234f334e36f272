"""What extras/jobs gives as app.extensions["queue"] and ["ticks"]: where the work is, which is done here."""

from collections.abc import Collection, Sequence
from typing import Protocol

from app.platform.tasks import Task


class Claimed(Protocol):
    """A job that is ours. `is_alone`: nothing else may run beside it in this process."""

    id: str
    task: Task
    arguments: str
    tries: int
    request_id: str
    is_alone: bool


class Ticks(Protocol):
    def enqueue_due(self) -> None: ...


class Queue(Protocol):
    NotOursError: type[Exception]

    def claim(self, worker: str, count: int, is_idle: bool, but: Collection[str] = ()) -> list[Claimed]: ...
    def mark_done(self, job: Claimed) -> None: ...
    def finish(self, job: Claimed) -> None: ...
    def fail(self, job: Claimed, error: str) -> tuple[bool, bool]: ...
    def rename(self, worker: str, name: str, jobs: Collection[Claimed]) -> None: ...
    def owners(self) -> Sequence[str]: ...
    def take_back(self, worker: str, but: Collection[str] = (), has_died: bool = True) -> int: ...
    def tell_progress(self, job_id: str, percent: int, text: str) -> None: ...
    def clean_up(self) -> None: ...
