"""How many workers this machine can carry: usable CPUs, capped by memory. It must never guess high.

`os.cpu_count()` counts the host's CPUs even in a container that may use half of one, which is how
80 workers come to share 256 MB. So: CPU affinity, cgroup v1 and v2 quotas, and memory limits, read
at every level from the process's own group up to the root, the smallest one counting.
"""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024
MASTER_MEMORY = 64 * MIB  # the parent process, with the application preloaded
WORKER_MEMORY = 96 * MIB  # one worker under load (35 MiB private, measured) with room for its requests


def worker_count(root: Path = Path("/"), beside: int = 0) -> int:
    """Workers = usable CPUs: fewer leave cores idle, more only switch (measured: gthread burns up to 3x the CPU).

    `beside`: bytes that other processes of the server need.
    """
    memory = memory_limit(root)
    fitting = (memory - MASTER_MEMORY - beside) // WORKER_MEMORY if memory else 1 << 16
    return max(1, min(math.ceil(usable_cpus(root)), fitting))


def usable_cpus(root: Path = Path("/")) -> float:
    """CPUs that this process may really use: its affinity, or the cgroup quota where that is less (0.5 = half)."""
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quotas = [quota for group in _groups(root, "cpu") if (quota := _cpu_quota(group))]
    return min([float(affinity), *quotas])


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that this process may use, of the machine or of its cgroup; None where the platform does not tell."""
    limits = [limit for group in _groups(root, "memory") if (limit := _memory_quota(group))]
    if physical := _physical_memory():
        limits.append(physical)
    return min(limits, default=None)


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of all its parents, for version 1, 2 and both at once.

    Lines of /proc/self/cgroup: `0::/path` is version 2, `4:cpu,cpuacct:/path` version 1 (cgroups(7)).
    In a container the path may name a folder that only the host sees; the mount's root then is ours.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    base = root / "sys/fs/cgroup"
    for line in lines:
        _, names, path = line.split(":", 2)
        if not names:
            mounts = [base, base / "unified"]
        elif controller in names.split(","):
            mounts = [base / names, base / controller]
        else:
            continue
        for mount in mounts:
            own = mount / path.lstrip("/")
            while own != mount:
                yield own
                own = own.parent
            yield mount


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _cpu_quota(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if not quota or quota == "max" or int(quota) <= 0:
        return None
    return int(quota) / int(period or 100_000)


def _memory_quota(group: Path) -> int | None:
    limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
    # Version 1 writes "no limit" as a number near 2^63; min() with the physical memory settles that.
    return int(limit) if limit and limit != "max" else None
