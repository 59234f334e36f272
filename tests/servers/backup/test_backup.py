"""`flask backup` and `flask restore` beside a real server that writes, on a full disk, and on Windows."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import ROOT, environment, flask, gunicorn
from benchmarks.writers import ENTRIES, Writers, written
from tests.servers import disks
from tests.servers.running import get, wait_until
from tests.servers.wine import PROJECT, Windows, reason_to_skip, windows_path


def run(instance: Path, *arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", *map(str, arguments)],
        cwd=ROOT,
        env=environment(instance, **settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_backups_under_write_load_are_whole_and_of_one_moment() -> None:
    command = [sys.executable, "-m", "benchmarks.backup.under_load", "--backups", "2", "--megabytes", "10"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_a_running_server_has_the_restored_rows_at_once_and_refuses_nobody(tmp_path: Path) -> None:
    flask(tmp_path, "db", "upgrade")
    flask(tmp_path, "make-entries", application=ENTRIES)
    with gunicorn(tmp_path, "-w", "2", application=ENTRIES, LOG_LEVEL="WARNING") as server:
        with Writers(server.port) as early:
            wait_until(lambda: early.acknowledged[0] > 20, 10)
        flask(tmp_path, "backup", str(tmp_path / "early.tar.gz"))
        saved = written(f"sqlite:///{tmp_path}/app.db")
        with Writers(server.port, range(100, 104)) as late:
            wait_until(lambda: late.acknowledged[100] > 20, 10)
        with Load(server.port, "/entries/0", "/health") as load:
            restored = run(tmp_path, "restore", "--force", tmp_path / "early.tar.gz")
        assert restored.returncode == 0, restored.stderr
        assert load.result.failed == 0, load.result
        assert [int(get(server.port, f"/entries/{writer}")[2]) for writer in (0, 100)] == [saved[0], 0]
        with Writers(server.port, range(200, 204)) as later:
            wait_until(lambda: later.acknowledged[200] > 5, 10)
    assert written(f"sqlite:///{tmp_path}/app.db").keys() == saved.keys() | {200, 201, 202, 203}
    (kept,) = tmp_path.glob("backups/before-restore-*.tar.gz")
    assert run(tmp_path, "restore", "--force", kept).returncode == 0
    assert written(f"sqlite:///{tmp_path}/app.db").keys() == saved.keys() | {100, 101, 102, 103}


def test_exit_code_1_may_mean_that_there_is_no_backup_so_systemd_takes_it_for_a_failure(tmp_path: Path) -> None:
    failed = run(tmp_path, "backup", tmp_path / "b.tar.gz", PORT="none")
    assert (failed.returncode, (tmp_path / "b.tar.gz").exists()) == (1, False)
    unit = (ROOT / "deploy/systemd/groundwork-backup.service").read_text()
    assert "\nSuccessExitStatus" not in unit


@disks.NEEDS_ROOT
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(
    instance: Path, tmp_path: Path, command: str
) -> None:
    with disks.small(tmp_path / "disk") as disk:
        file = disk / "backup.tar.gz"
        assert run(instance, "backup", file).returncode == 0
        if command == "restore":
            (disk / "instance").mkdir()
            flask(disk / "instance", "db", "upgrade")
        earlier = file.read_bytes()
        disks.fill(disk)
        before = files(disk)
        failed = run(disk / "instance" if command == "restore" else instance, command, file)
        assert failed.returncode == 2, failed.stdout
        assert "Nothing was changed." in failed.stderr
        assert "Traceback" not in failed.stderr
        assert files(disk) == before
        assert file.read_bytes() == earlier


def files(disk: Path) -> set[Path]:
    """Without those that SQLite would remove at the end, but for the full disk, and what any start publishes."""
    return {
        path for path in disk.rglob("*") if "static" not in path.parts and path.suffix not in {".db-wal", ".db-shm"}
    }


@pytest.mark.windows
@pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())
@pytest.mark.timeout(300)
def test_windows_backs_up_and_restores(tmp_path: Path) -> None:
    windows = Windows()
    windows.build()
    project = tmp_path / "project"
    project.mkdir()
    for name in ("app", "migrations", "serving"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config.py", "config_extras.py", "config_types.py", "wsgi.py"):
        shutil.copy(PROJECT / name, project)
    archive = windows_path(tmp_path / "backup.tar.gz")

    def flask_there(instance: str, *arguments: str) -> tuple[int, str]:
        command = [windows.python, "-m", "flask", "--app", "wsgi", *arguments]
        folder = windows_path(tmp_path / instance)
        running = windows.start(*command, cwd=project, PYTHONPATH=windows_path(project), INSTANCE_PATH=folder)
        return running.end(60), running.output

    try:
        for arguments in (("db", "upgrade"), ("backup", archive)):
            code, output = flask_there("one", *arguments)
            assert code == 0, output
        code, output = flask_there("two", "restore", archive)
        assert (code, "Restored" in output) == (0, True), output
        code, output = flask_there("two", "restore", archive, "--force")
        assert code == 0, output
    finally:
        windows.end_all()
