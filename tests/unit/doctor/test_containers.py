"""In a container nothing is blamed that is usual there, and what it lacks is found."""

import os
import shutil
import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine

from app.platform.doctor import databases, examination, live_edge
from app.platform.doctor.registry import Check, Deployment, warn
from app.platform.doctor.site import Site
from tests.unit.doctor.conftest import assert_seen, look

Usage = namedtuple("Usage", "total used free")
MIB = 1024 * 1024
LOCKED_UP = "Name:\tpython\nNoNewPrivs:\t1\nCapBnd:\t0000000000000000\n"


@pytest.fixture
def container(machine: Path) -> Path:
    """As compose.yaml starts one."""
    (machine / ".dockerenv").touch()
    (machine / "proc/self").mkdir(parents=True)
    (machine / "proc/self/status").write_text(LOCKED_UP)
    (machine / "proc/self/cgroup").write_text("0::/\n")
    (machine / "proc/mounts").write_text("overlay / overlay ro,relatime 0 0\ntmpfs /tmp tmpfs rw,size=65536k 0 0\n")
    group = machine / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{256 * MIB}\n")
    (group / "cpu.max").write_text("200000 100000\n")
    return machine


@pytest.mark.parametrize(("free", "status"), [(60 * MIB, "OK"), (5 * MIB, "WARN")])
def test_a_small_tmp_is_no_full_disk(
    free: int, status: str, app: Flask, container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(64 * MIB, 64 * MIB - free, free))
    found = look(app, "host.disk", machine=container)
    assert found.status == status, found


def test_memory_that_the_server_has_counted_itself_suffices(
    make_app: Callable[..., Flask], container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))  # of the host, where 2 may be used
    app = make_app(JOBS="external")
    found = look(app, "server.memory", machine=container)
    assert (found.status, found.seen) == ("OK", "2 workers need 256 MiB of 256 MiB.")
    assert look(app, "server.workers", machine=container).seen == "2 workers for 2 CPUs."
    assert_seen(look(make_app(WORKERS=4), "server.memory", machine=container), "FAIL", "of 256 MiB")


@pytest.mark.parametrize(
    ("host", "inside", "outside"), [("redis", "SKIP", "FAIL"), ("cache.example.com", "FAIL", "FAIL")]
)
def test_a_redis_of_the_same_network_wants_no_password(
    host: str, inside: str, outside: str, make_app: Callable[..., Flask], container: Path, tmp_path: Path
) -> None:
    app = make_app(REDIS_URL=f"redis://{host}:6379/0")
    assert look(app, "redis.safe", machine=container).status == inside
    assert look(app, "redis.safe", machine=tmp_path / "nothing").status == outside


def test_a_database_of_the_same_network_is_not_blamed(
    app: Flask, container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine("postgresql+psycopg://db/app")
    monkeypatch.setattr(databases, "is_postgres", lambda: True)
    monkeypatch.setattr(databases, "db", type("Database", (), {"engine": engine}))
    assert look(app, "db.encrypted", machine=container).status == "SKIP"


def test_a_volume_may_be_roots(app: Flask, container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kubernetes mounts it, with its fsGroup: the files in it are the user's."""
    owner = os.stat(app.extensions["settings"].INSTANCE_PATH).st_uid
    if owner == 0:
        for file in app.extensions["settings"].INSTANCE_PATH.iterdir():
            if file.is_symlink():
                file.unlink()
            else:
                os.chown(file, 10001, 10001)
        monkeypatch.setattr(os, "geteuid", lambda: 10001)
        assert_seen(look(app, "fs.owner", machine=container.parent / "nothing"), "FAIL", "app.db")
    assert look(app, "fs.owner", machine=container).status == "OK"


def test_the_port_of_a_container_is_open_for_its_neighbours(
    make_app: Callable[..., Flask], container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_edge, "own_address", lambda: "127.0.1.1")  # loopback, but no 127.0.0.1
    monkeypatch.setattr(live_edge, "LOOPBACK", "127.0.0.")
    with socket.create_server(("127.0.1.1", 0)) as server:
        app = make_app(HOST="0.0.0.0", TRUSTED_PROXIES=1, PORT=server.getsockname()[1])
        for identity in ("live.bypass", "proxy.hops"):
            found = look(app, identity, machine=container, site=Site("https://www.example.com"))
            assert found.status == "SKIP", found


def test_a_container_that_is_not_locked_up_is_found(app: Flask, root: Path, container: Path) -> None:
    assert look(app, "server.sandbox", root=root, machine=container).status == "OK"
    status, mounts = container / "proc/self/status", container / "proc/mounts"
    for file, good, bad, name in (
        (status, "NoNewPrivs:\t1", "NoNewPrivs:\t0", "no-new-privileges"),
        (status, "CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb", "cap_drop: ALL"),
        (mounts, "overlay ro,", "overlay rw,", "read_only"),
    ):
        text = file.read_text()
        file.write_text(text.replace(good, bad))
        found = look(app, "server.sandbox", root=root, machine=container)
        assert_seen(found, "WARN", name)
        file.write_text(text)


@pytest.mark.parametrize(("has_environment", "said"), [(True, ".venv/bin/flask db check"), (False, "flask db check")])
def test_an_image_has_no_environment_of_its_own_in_the_folder(
    has_environment: bool, said: str, app: Flask, root: Path
) -> None:
    if has_environment:
        (root / ".venv").mkdir()
    made = Check("made.up", "Is it so?", "", lambda _: warn("No.", ".venv/bin/flask db check"), False, False)
    with app.app_context():
        (result,) = examination.examine(Deployment(app.extensions["settings"], root=root), [made])
    assert result.finding.fix == said


def test_what_mends_the_edge_is_in_the_image_in_front(app: Flask, container: Path) -> None:
    deployment: Any = Deployment(app.extensions["settings"], machine=container, site=Site("https://www.example.com"))
    assert live_edge.as_shipped(deployment).startswith("docker compose up")
