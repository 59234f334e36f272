"""Checks of the machine and of what serves: files, users, room, clocks, Gunicorn's file, packages."""

import os
import shutil
import subprocess
import tempfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask

from app.platform.doctor import code
from app.platform.doctor.host import private_files
from app.platform.doctor.registry import Deployment
from config import ROOT
from tests.unit.doctor.conftest import assert_seen, look

Usage = namedtuple("Usage", "total used free")
GIB = 1024**3


def test_a_site_of_root_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert_seen(look(app, "host.root"), "FAIL")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert look(app, "host.root").status == "OK"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_root_is_sent_away_from_another_users_site(app: Flask) -> None:
    os.chown(app.extensions["settings"].INSTANCE_PATH, 12345, 12345)
    run = app.test_cli_runner().invoke(args=["doctor"])
    assert run.exit_code == 2
    assert "sudo -u '#12345'" in run.stderr


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Every user may pass through it, where pytest's own are closed, and TMPDIR may be."""
    folder = Path(tempfile.mkdtemp(prefix="gw-open-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_others_can_read_is_found(app: Flask, open_folder: Path) -> None:
    file = open_folder / ".env"
    file.write_text("A=1")
    file.chmod(0o644)
    found = look(app, "fs.private", root=open_folder)
    assert_seen(found, "FAIL", ".env")
    subprocess.run(found.fix, shell=True, check=True)  # noqa: S602 - what a user would type
    assert look(app, "fs.private", root=open_folder).status == "OK"
    file.chmod(0o660)
    assert_seen(look(app, "fs.private", root=open_folder), "WARN", ".env")


def test_a_folder_that_is_called_like_the_databases_other_file_hides_none(app: Flask, open_folder: Path) -> None:
    folder = open_folder / "my-wallet"
    folder.mkdir(mode=0o755)
    (folder / ".env").write_text("A=1")
    (folder / ".env").chmod(0o644)
    assert look(app, "fs.private", root=folder).fix == f"chmod o-rwx {folder / '.env'}"


def test_a_log_that_others_can_read_is_found(make_app: Callable[..., Flask], open_folder: Path) -> None:
    folder = open_folder / "log"
    folder.mkdir(mode=0o755)
    app = make_app(LOG_FILE=folder / "app.log")
    (folder / "app.log").chmod(0o644)
    found = look(app, "log.private")
    assert_seen(found, "WARN", "app.log")
    subprocess.run(found.fix, shell=True, check=True)  # noqa: S602 - what a user would type
    assert look(app, "log.private").status == "OK"
    assert look(make_app(), "log.private").status == "SKIP"


def test_the_secret_the_database_and_the_backups_are_looked_at(app: Flask) -> None:
    instance = app.extensions["settings"].INSTANCE_PATH
    (instance / "backups").mkdir()
    (instance / "backups/a.tar.gz").touch()
    with app.app_context():
        looked = {file.name for file in private_files(Deployment(app.extensions["settings"]))}
    assert looked >= {".env", "secret_key", "app.db", "app.db-wal", "a.tar.gz"}


def test_a_folder_that_is_closed_closes_what_is_in_it(app: Flask, root: Path) -> None:
    (root / ".env").write_text("A=1")
    (root / ".env").chmod(0o644)
    root.chmod(0o750)
    (app.extensions["settings"].INSTANCE_PATH).chmod(0o750)
    assert look(app, "fs.private", root=root).status == "OK"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_file_of_another_user_is_found(app: Flask) -> None:
    instance = app.extensions["settings"].INSTANCE_PATH
    (instance / "run").mkdir(exist_ok=True)
    assert look(app, "fs.owner").status == "OK"
    os.chown(instance / "run", 12345, 12345)
    found = look(app, "fs.owner")
    assert_seen(found, "FAIL", "run")
    subprocess.run(found.fix.removeprefix("sudo "), shell=True, check=True)  # noqa: S602 - what a user would type
    assert look(app, "fs.owner").status == "OK"


def test_a_key_among_the_static_files_is_found(app: Flask, root: Path) -> None:
    static = root / "app/static"
    static.mkdir(parents=True)
    assert look(app, "fs.served", root=root).status == "OK"
    (static / "privkey.pem").touch()
    assert_seen(look(app, "fs.served", root=root), "FAIL", "privkey.pem")


@pytest.mark.parametrize(("free", "status"), [(GIB // 10, "FAIL"), (GIB // 2, "WARN"), (50 * GIB, "OK")])
def test_a_full_disk_is_found(free: int, status: str, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GIB, 100 * GIB - free, free))
    found = look(app, "host.disk")
    assert found.status == status, found


def test_a_disk_without_inodes_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GIB, 0, 100 * GIB))
    few = os.statvfs_result((*real[:5], 1000, 10, 10, *real[8:]))
    monkeypatch.setattr(os, "statvfs", lambda _: few)
    assert_seen(look(app, "host.disk"), "WARN", "inodes")


def test_a_server_that_may_open_too_few_files_is_found(app: Flask, machine: Path) -> None:
    assert look(app, "host.files", machine=machine).status == "SKIP"
    run, process = app.extensions["settings"].INSTANCE_PATH / "run", machine / "proc/4242"
    run.mkdir(exist_ok=True)
    process.mkdir(parents=True)
    (run / "8080.gunicorn.pid").write_text("4242\n")
    line = "Max open files            {}                 1048576              files\n"
    (process / "limits").write_text(line.format(1024))
    (process / "cmdline").write_bytes(b"gunicorn\0wsgi:app")
    assert_seen(look(app, "host.files", machine=machine), "WARN", "1024")
    (process / "limits").write_text(line.format(8192))
    assert look(app, "host.files", machine=machine).status == "OK"


# --- what serves -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "good", "bad"),
    [
        ("server.parser", 'http_parser = "python"', 'http_parser = "auto"'),
        ("server.parser", 'header_map = "drop"', 'header_map = "dangerous"'),
        ("server.parser", 'forwarder_headers = ""', 'forwarder_headers = "SCRIPT_NAME"'),
        ("deploy.preload", "preload_app = True", "preload_app = False"),
        ("server.recycling", "max_requests = 10_000", "max_requests = 0"),
        ("server.recycling", "max_requests_jitter = 5_000", "max_requests_jitter = 0"),
    ],
)
def test_a_weaker_gunicorn_file_is_found(identity: str, good: str, bad: str, app: Flask, root: Path) -> None:
    file = root / "gunicorn.conf.py"
    text = (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    assert look(app, identity, root=root).status == "OK"
    assert good in text
    file.write_text(text.replace(good, bad), encoding="utf-8")
    assert_seen(look(app, identity, root=root), "WARN" if identity == "server.recycling" else "FAIL")
    file.unlink()
    assert_seen(look(app, identity, root=root), "FAIL")


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("server.parser", "header_map"),
        ("deploy.preload", "preload_app"),
        ("server.recycling", "max_requests"),
        ("server.timeouts", "timeout"),
        ("server.timeouts", "graceful_timeout"),
    ],
)
def test_of_a_value_that_is_computed_nothing_is_said(identity: str, name: str, app: Flask, root: Path) -> None:
    text = (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")
    (root / "gunicorn.conf.py").write_text(f"{text}\n{name} = computed()\n", encoding="utf-8")
    found = look(app, identity, root=root)
    assert (found.status, name in found.seen) == ("SKIP", True), found


def test_without_a_line_the_servers_own_time_out_counts(
    app: Flask, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "gunicorn.conf.py").write_text("preload_app = True\n", encoding="utf-8")
    assert "Gunicorn 30 s, a stop 30 s" in look(app, "server.timeouts", root=root).seen


@pytest.mark.parametrize(
    ("identity", "option"),
    [
        ("server.parser", "--http-parser auto"),
        ("server.parser", "--http-parser=fast"),
        ("server.parser", "--permit-obsolete-folding"),
        ("deploy.preload", "--reload"),
        ("server.recycling", "--max-requests 0"),
    ],
)
def test_an_option_that_overrules_the_file_is_found(identity: str, option: str, app: Flask) -> None:
    found = look(app, identity, environ={"GUNICORN_CMD_ARGS": option})
    assert_seen(found, "WARN" if identity == "server.recycling" else "FAIL")
    assert look(app, identity, environ={"GUNICORN_CMD_ARGS": "--http-parser python --workers 2"}).status == "OK"


def test_a_folder_that_is_edited_in_place_is_found(app: Flask, root: Path, machine: Path) -> None:
    assert_seen(look(app, "deploy.inplace", root=root, machine=machine), "WARN")
    (root / "RELEASE").write_text("20260101-000000-abcdef00")
    assert look(app, "deploy.inplace", root=root, machine=machine).status == "OK"


def test_a_unit_that_kills_before_requests_are_done_is_found(app: Flask, root: Path, machine: Path) -> None:
    shutil.copy(ROOT / "gunicorn.conf.py", root)
    assert look(app, "server.timeouts", root=root, machine=machine).status == "OK"
    unit = machine / "etc/systemd/system/groundwork.service"
    unit.parent.mkdir(parents=True)
    text = f"WorkingDirectory={root}\nExecStart={root}/.venv/bin/gunicorn wsgi:app\nTimeoutStopSec="
    unit.write_text(f"{text}10\n")
    assert_seen(look(app, "server.timeouts", root=root, machine=machine), "WARN", "10 s")
    unit.write_text(f"{text}40\n")
    assert look(app, "server.timeouts", root=root, machine=machine).status == "OK"


def test_a_worker_that_ends_before_its_statement_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the database was a PostgreSQL; a real one is asked in tests/servers/doctor."""
    engine = SimpleNamespace(dialect=SimpleNamespace(name="postgresql"))
    monkeypatch.setattr(code, "db", SimpleNamespace(engine=engine))
    assert look(app, "server.timeouts").status == "OK"
    monkeypatch.setitem(code._POSTGRES_LIMITS, "statement_timeout", "60s")
    assert_seen(look(app, "server.timeouts"), "WARN", "60")


def test_a_proxy_that_gives_up_before_the_server_is_found(app: Flask, root: Path, machine: Path) -> None:
    shutil.copy(ROOT / "gunicorn.conf.py", root)
    placed = machine / "etc/nginx/groundwork/proxy.conf"
    placed.parent.mkdir(parents=True)
    text = (ROOT / "deploy/nginx/snippets/proxy.conf").read_text(encoding="utf-8")
    assert "proxy_read_timeout 60s;" in text
    placed.write_text(text, encoding="utf-8")
    assert look(app, "server.timeouts", root=root, machine=machine).status == "OK"
    placed.write_text(text.replace("proxy_read_timeout 60s;", "proxy_read_timeout 5s;"), encoding="utf-8")
    assert_seen(look(app, "server.timeouts", root=root, machine=machine), "WARN", "5 s")


def test_a_unit_without_a_sandbox_is_found(app: Flask, root: Path, machine: Path) -> None:
    assert look(app, "server.sandbox", root=root, machine=machine).status == "SKIP"
    unit = machine / "etc/systemd/system/groundwork.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"WorkingDirectory={root}\nExecStart={root}/.venv/bin/gunicorn wsgi:app\n")
    assert_seen(look(app, "server.sandbox", root=root, machine=machine), "WARN", "NoNewPrivileges")
    drop_in = Path(f"{unit}.d/hardening.conf")
    drop_in.parent.mkdir()
    shutil.copy(ROOT / "deploy/systemd/hardening.conf", drop_in)
    assert look(app, "server.sandbox", root=root, machine=machine).status == "OK"


def test_another_package_than_the_locked_one_is_found(app: Flask, root: Path) -> None:
    lock = root / "requirements.txt"
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lock.write_text(text, encoding="utf-8")
    assert look(app, "deps.locked", root=root).status == "OK"
    lock.write_text(text.replace("\nflask==", "\nflask==9."), encoding="utf-8")
    assert_seen(look(app, "deps.locked", root=root), "WARN", "flask")
    lock.write_text("flask==3.1.3\n", encoding="utf-8")
    assert_seen(look(app, "deps.locked", root=root), "WARN", "hash")


def test_a_python_past_its_end_is_found(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "END_OF_LIFE", dict.fromkeys(code.END_OF_LIFE, date(2020, 1, 1)))
    assert_seen(look(app, "deps.python"), "WARN", "not maintained")
    monkeypatch.setattr(code, "END_OF_LIFE", dict.fromkeys(code.END_OF_LIFE, date(2099, 1, 1)))
    assert look(app, "deps.python").status == "OK"
    monkeypatch.setattr(code, "END_OF_LIFE", {})
    assert look(app, "deps.python").status == "SKIP"


def test_a_newer_python_takes_no_environment_away_from_what_runs(
    make_app: Callable[..., Flask], root: Path, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "END_OF_LIFE", dict.fromkeys(code.END_OF_LIFE, date(2020, 1, 1)))
    app = make_app()
    (root / ".venv").mkdir()
    where = {"root": root, "machine": machine}
    anew = "rm -r .venv && scripts/start.sh -d  # after installing a newer Python"
    assert look(app, "deps.python", **where).fix == f"{anew}, where nothing runs"

    run = Path(app.extensions["settings"].INSTANCE_PATH, "run")
    run.mkdir(exist_ok=True)
    (run / "8080.gunicorn.pid").write_text("77\n")
    (machine / "proc/77").mkdir(parents=True)
    (machine / "proc/77/limits").touch()
    assert look(app, "deps.python", **where).fix == f"scripts/stop.sh && {anew}"

    release = tmp_path / "a site/releases/20260101-000000-abcdef00"
    found = look(app, "deps.python", root=release, machine=machine)
    assert found.fix.startswith(f"cd <repository> && scripts/deploy.sh '{tmp_path}/a site'  # ")
    (machine / ".dockerenv").touch()
    assert "docker compose up" in look(app, "deps.python", **where).fix
