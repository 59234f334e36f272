"""The capacity sheet: what this machine carries at the same time, what it needs for that, and what to change first."""

import importlib
import math
from dataclasses import dataclass
from typing import Any

from app.platform.database import SPARE_CONNECTIONS
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, warn

JOBS_CONNECTIONS = 6  # four threads of the process that does jobs, its loop and its lock
WAITS = (0.01, 0.05, 0.2, 1.0)  # seconds that a request waits for a database or another server
ENOUGH = 0.8  # of the memory; the rest is for the system and its cache of files
MIB = 1024 * 1024
COMPUTES = (0.002, 0.02)  # seconds of a CPU that a request takes


@dataclass(frozen=True)
class Capacity:
    cpus: float
    memory: int | None  # bytes
    workers: int
    threads: int
    needed_memory: int
    connections: int
    jobs: bool

    @property
    def at_once(self) -> int:
        return self.workers * self.threads

    @property
    def connections_in_handover(self) -> int:
        """The old workers finish while the new ones begin."""
        return 2 * self.connections

    def per_second(self, wait: float) -> float:
        """Of requests that only wait: with 50 ms, 614 of these 640 were measured (docs/serving.md)."""
        return self.at_once / wait


def measure(deployment: Deployment) -> Capacity:
    """As the server will be: WORKERS, or what serving/sizing.py makes of this machine."""
    # By name: the application needs no server. The doctor looks at both, from outside.
    sizing: Any = importlib.import_module("serving.sizing")
    companions: Any = importlib.import_module("serving.companions")
    settings = deployment.settings
    jobs_memory = companions.JOBS_MEMORY if settings.JOBS == "embedded" else 0
    beside = jobs_memory + (companions.METRICS_MEMORY if settings.METRICS_PORT else 0)
    workers = settings.WORKERS or sizing.worker_count(deployment.machine, beside=beside)
    threads = 1 if settings.WORKER_CLASS == "sync" else settings.THREADS
    has_jobs = settings.JOBS != "off"
    return Capacity(
        cpus=sizing.usable_cpus(deployment.machine),
        memory=sizing.memory_limit(deployment.machine),
        workers=workers,
        threads=threads,
        needed_memory=sizing.MASTER_MEMORY + workers * sizing.WORKER_MEMORY + beside,
        connections=workers * (settings.THREADS + SPARE_CONNECTIONS) + (JOBS_CONNECTIONS if has_jobs else 0),
        jobs=has_jobs,
    )


@check("server.memory", "When memory ends the kernel kills a process in the middle of its requests, or the database.")
def memory_suffices(deployment: Deployment) -> Finding:
    """Is there memory for all workers?"""
    need = measure(deployment)
    if not need.memory:
        return ok(f"{need.needed_memory // MIB} MiB are needed; this platform does not say what there is.")
    seen = f"{need.workers} workers need {need.needed_memory // MIB} MiB of {need.memory // MIB} MiB."
    if not deployment.settings.WORKERS:  # serving/sizing.py has counted what fits
        return ok(seen)
    fitting = max(1, round(need.workers * need.memory * ENOUGH / need.needed_memory))
    if need.needed_memory > need.memory and need.workers > 1:
        return fail(seen, f"WORKERS={min(fitting, need.workers - 1)}")
    if need.needed_memory > ENOUGH * need.memory and need.workers > 1:
        return warn(seen, f"WORKERS={min(fitting, need.workers - 1)}")
    return ok(seen)


@check("server.workers", "More processes than CPUs only switch; fewer leave CPUs idle while visitors wait.")
def workers_fit_the_cpus(deployment: Deployment) -> Finding:
    """Are there as many workers as CPUs, where memory allows that?"""
    need = measure(deployment)
    each: int = importlib.import_module("serving.sizing").WORKER_MEMORY
    room = (ENOUGH * need.memory - need.needed_memory) // each if need.memory else 1 << 16
    fitting = max(1, min(math.ceil(need.cpus), need.workers + int(room)))
    seen = f"{need.workers} workers for {need.cpus:g} CPUs."
    if need.workers < fitting or need.workers > 4 * max(need.cpus, 1):
        return warn(seen, f"WORKERS={fitting}")
    return ok(seen)


def advice(need: Capacity) -> str:
    """What to change first."""
    if need.memory and need.needed_memory > ENOUGH * need.memory:
        return "Memory ends first: fewer WORKERS, or more memory."
    if need.workers < need.cpus:
        return f"CPUs stay idle: WORKERS={round(need.cpus)}."
    if need.threads < 16:
        return "Requests that wait hold a thread each: more THREADS come first, they cost little."
    return "CPUs end first: a larger machine, or another one beside it with PostgreSQL and Redis."


def as_text(need: Capacity) -> str:
    memory = f"{need.memory // MIB:,} MiB" if need.memory else "not known"
    jobs = f", {JOBS_CONNECTIONS} of them for jobs" if need.jobs else ""
    lines = [
        f"CPUs                    {need.cpus:g}",
        f"Memory                  {memory}, of which the server needs {need.needed_memory // MIB:,} MiB",
        f"Workers × threads       {need.workers} × {need.threads}",
        f"Requests at once        {need.at_once:,}",
        f"Database connections    {need.connections}{jobs}; {need.connections_in_handover} while a reload hands over",
        "",
        "A request that waits for another server, a database: requests a second, at most",
        *(f"  {wait * 1000:>5,.0f} ms              {need.per_second(wait):,.0f}" for wait in WAITS),
        "A request that computes:",
        *(f"  {seconds * 1000:>5,.0f} ms              {need.cpus / seconds:,.0f}" for seconds in COMPUTES),
        "",
        f"Change first: {advice(need)}",
    ]
    return "\n".join(lines)
