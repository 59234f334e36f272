"""How many workers are started on a machine or in a container of a given size: never more than it can carry."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from serving import sizing

MIB = sizing.MIB
V1_UNLIMITED = "9223372036854771712"


@pytest.fixture(autouse=True)
def big_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine itself has 80 CPUs and 512 GiB: what is less comes from the container."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(80)))
    monkeypatch.setattr(sizing, "_physical_memory", lambda: 512 * 1024 * MIB)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """`tree(group="0::/a", **{"a/cpu.max": "100000 100000"})`: a root with these files below sys/fs/cgroup."""

    def make(group: str, **files: str) -> Path:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(group + "\n")
        for name, text in files.items():
            file = tmp_path / "sys/fs/cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        return tmp_path

    return make


V1_GROUP = "5:memory:/docker/c1\n4:cpu,cpuacct:/docker/c1\n1:name=systemd:/docker/c1"


@pytest.mark.parametrize(
    ("group", "files", "cpus", "workers"),
    [
        pytest.param("0::/", {"cpu.max": "max 100000", "memory.max": "max"}, 80, 80, id="v2 unlimited"),
        pytest.param("0::/", {"cpu.max": "50000 100000"}, 0.5, 1, id="v2 half a CPU"),
        pytest.param("0::/", {"cpu.max": "150000 100000"}, 1.5, 2, id="v2 one and a half"),
        pytest.param("0::/", {"cpu.max": "800000 200000"}, 4, 4, id="v2 other period"),
        pytest.param("0::/", {"cpu.max": "200000"}, 2, 2, id="v2 no period"),
        pytest.param("0::/", {"memory.max": str(128 * MIB)}, 80, 1, id="v2 128 MB"),
        pytest.param("0::/", {"memory.max": str(256 * MIB)}, 80, 2, id="v2 256 MB"),
        pytest.param(
            "0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2, 2, id="parent has less CPU"
        ),
        pytest.param(
            "0::/a/b", {"a/b/memory.max": "max", "a/memory.max": str(256 * MIB)}, 80, 2, id="parent has less memory"
        ),
        pytest.param("0::/docker/gone", {"cpu.max": "300000 100000"}, 3, 3, id="v2 path that only the host sees"),
        pytest.param("0::/../../other", {"cpu.max": "300000 100000"}, 3, 3, id="v2 path above the namespace"),
        pytest.param(
            V1_GROUP,
            {"cpu,cpuacct/docker/c1/cpu.cfs_quota_us": "150000", "cpu,cpuacct/docker/c1/cpu.cfs_period_us": "100000"},
            1.5,
            2,
            id="v1 one and a half",
        ),
        pytest.param(V1_GROUP, {"cpu/cpu.cfs_quota_us": "250000"}, 2.5, 3, id="v1 in a container, mounted as cpu"),
        pytest.param(
            V1_GROUP,
            {"cpu/docker/c1/cpu.cfs_quota_us": "-1", "memory/docker/c1/memory.limit_in_bytes": V1_UNLIMITED},
            80,
            80,
            id="v1 unlimited",
        ),
        pytest.param(
            V1_GROUP, {"memory/docker/c1/memory.limit_in_bytes": str(256 * MIB)}, 80, 2, id="v1 memory of 256 MB"
        ),
        pytest.param(
            f"{V1_GROUP}\n0::/docker/c1",
            {"cpu/docker/c1/cpu.cfs_quota_us": "200000", "unified/docker/c1/cpu.max": "max 100000"},
            2,
            2,
            id="hybrid, version 1 rules",
        ),
        pytest.param(
            f"{V1_GROUP}\n0::/docker/c1",
            {"unified/docker/c1/memory.max": str(256 * MIB), "memory/memory.limit_in_bytes": V1_UNLIMITED},
            80,
            2,
            id="hybrid, version 2 rules",
        ),
    ],
)
def test_a_container_gets_the_workers_it_can_carry(
    group: str, files: dict[str, str], cpus: float, workers: int, tree: Callable[..., Path]
) -> None:
    root = tree(group, **files)
    assert sizing.usable_cpus(root) == cpus
    assert sizing.worker_count(root) == workers


def test_without_any_cgroup_the_machine_itself_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sizing.worker_count(tmp_path) == 80
    monkeypatch.setattr(sizing, "_physical_memory", lambda: 1024 * MIB)
    assert sizing.worker_count(tmp_path) == 10


def test_a_process_bound_to_two_cpus_starts_two_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5})
    assert sizing.worker_count(tmp_path) == 2


def test_a_platform_that_tells_no_memory_limits_by_cpu_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert sizing.memory_limit(tmp_path) is None
    assert sizing.worker_count(tmp_path) == 3


def test_this_machine_has_at_least_one_worker_and_some_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert sizing.worker_count() >= 1
    assert sizing.memory_limit() > 64 * MIB
