"""scripts/reload.sh under load, and onto code that can not serve."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from app.platform import migrations
from benchmarks.load import Load
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, is_alive, wait_until


@pytest.fixture
def serving(project: Project) -> Project:
    project.port = free_port()
    started = project.run("start.sh", "-d", "-p", str(project.port), "-w", "2")
    assert started.returncode == 0, started.stderr
    return project


def test_a_reload_loses_no_request_and_brings_the_new_code(serving: Project) -> None:
    view = serving.folder / "app/pages/views.py"
    before = serving.pid()
    with Load(serving.port, "/", "/ready", "/health") as load:
        for number in range(2):
            text = view.read_text()
            view.write_text(text.replace("def about() -> str:", f"def about() -> str:\n    return 'code {number}'"))
            reloaded = serving.run("reload.sh")
            assert reloaded.returncode == 0, reloaded.stderr
            assert get(serving.port, "/about")[2] == f"code {number}"
    assert load.result.failed == 0, load.result
    assert load.result.answered > 200
    assert serving.pid() != before
    assert f"Reloaded: master {serving.pid()} serves" in reloaded.stderr


def test_a_reload_reads_the_new_env_file(serving: Project) -> None:
    (serving.folder / ".env").write_text("APP_NAME=Renamed\n")
    assert serving.run("reload.sh").returncode == 0
    assert "Renamed" in get(serving.port, "/")[2]


def test_the_request_counts_go_on_over_a_reload(serving: Project) -> None:
    for _ in range(5):
        get(serving.port, "/about")
    assert serving.run("reload.sh").returncode == 0
    for _ in range(5):
        get(serving.port, "/about")
    line = 'http_requests_total{method="GET",route="/about",status="200"} 10.0'
    wait_until(lambda: line in get(serving.port, "/metrics")[2], 20)  # counted after the last byte


def break_import(folder: Path) -> str:
    (folder / "app/pages/views.py").write_text("import nothing_of_this_name\n")
    return "No module named 'nothing_of_this_name'"


def break_settings(folder: Path) -> str:
    (folder / ".env").write_text("LOG_LEVEL=LOUD\n")
    return "LOG_LEVEL"


def break_readiness(folder: Path) -> str:
    known, _ = migrations.revisions(migrations.FOLDER)
    (folder / "migrations/versions/20990101_ffff_more.py").write_text(
        f'revision = "ffff"\ndown_revision = {tuple(known)}\n\ndef upgrade():\n    pass\n'
    )
    return "database: behind the code, run `flask db upgrade`"


def break_dependencies(folder: Path) -> str:
    (folder / "requirements.txt").write_text("flask==9.9.9\n")
    return "requirements.txt has changed"


@pytest.mark.parametrize("break_it", [break_import, break_settings, break_readiness, break_dependencies])
def test_a_reload_onto_what_can_not_serve_is_refused_and_nobody_notices(serving: Project, break_it) -> None:
    before = serving.pid()
    with Load(serving.port, "/", "/about", keep_alive=3, close=3) as load:
        message = break_it(serving.folder)
        started = time.monotonic()
        refused = serving.run("reload.sh")
        assert refused.returncode != 0
        assert message in refused.stderr
        assert time.monotonic() - started < 30
    assert load.result.failed == 0, load.result
    assert serving.pid() == before
    assert get(serving.port, "/about")[0] == 200


def test_a_new_master_that_dies_leaves_the_old_one_serving(serving: Project) -> None:
    """Past the pre-flight, as when the machine runs out of memory just then: the code breaks only in a USR2 master."""
    config = serving.folder / "gunicorn.conf.py"
    config.write_text(
        "import os\nif 'GUNICORN_PID' in os.environ:\n    raise SystemExit('no room')\n" + config.read_text()
    )
    before = serving.pid()
    refused = serving.run("reload.sh")
    assert refused.returncode != 0
    assert f"the server {before} keeps serving" in refused.stderr
    assert serving.pid() == before
    assert get(serving.port, "/")[0] == 200


def test_a_new_master_whose_workers_do_not_boot_leaves_the_old_one_serving(serving: Project) -> None:
    """Slowly, and only where the pre-flight did not: meanwhile the old workers answer on the shared socket."""
    before, file = serving.pid(), serving.folder / "gunicorn.conf.py"
    text, boots = file.read_text(), "    faulthandler.enable()  #"
    assert boots in text
    fails = "    if 'GUNICORN_PID' in os.environ:\n        __import__('time').sleep(1)\n        raise RuntimeError\n"
    file.write_text(text.replace(boots, fails + boots))
    with Load(serving.port, "/ready") as load:
        refused = serving.run("reload.sh")
    assert refused.returncode == 1
    assert f"the server {before} keeps serving" in refused.stderr
    assert load.result.failed == 0, load.result
    assert serving.pid() == before
    assert get(serving.port, "/ready")[0] == 200
    assert list((serving.folder / "instance/run").glob("*.booted")) == []
    file.write_text(text)
    assert serving.run("reload.sh").returncode == 0
    assert serving.pid() != before
    assert list((serving.folder / "instance/run").glob("*.booted")) == []


def test_a_reload_of_process_1_is_refused_with_the_reason(project: Project) -> None:
    """In a process namespace of its own, as in a container, where the end of process 1 is the end of all."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("only root may make a process namespace (unshare)")
    port = free_port()
    start = [str(project.folder / "scripts/start.sh"), "-p", str(port)]
    container = Running(["unshare", "--pid", "--fork", "--mount-proc", *start], env=project.settings)
    try:
        wait_until(lambda: _health(port), 30, lambda: container.output)
        assert project.pid() == 1
        (first,) = container.children()
        inside = ["nsenter", "--target", str(first), "--pid", "--mount", str(project.folder / "scripts/reload.sh")]
        refused = subprocess.run(inside, env=project.settings, capture_output=True, text=True, timeout=60, check=False)
        assert refused.returncode != 0
        assert "Containers roll" in refused.stderr
        assert _health(port)
        os.kill(first, signal.SIGTERM)
        container.end()
    finally:
        container.kill()
        for pid_file in (project.folder / "instance/run").glob("*.pid"):
            pid_file.unlink()  # it names process 1, which is somebody else's out here


def test_another_process_with_the_number_of_a_dead_server_is_left_alone(project: Project) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        run = project.folder / "instance/run"
        run.mkdir(parents=True)
        (run / "8080.gunicorn.pid").write_text(f"{bystander.pid}\n")
        stopped = project.run("stop.sh")
        assert stopped.returncode == 1
        assert "no server of this folder is running" in stopped.stderr
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_only_the_port_that_was_named_is_stopped(serving: Project) -> None:
    part = str(serving.port)[-2:]
    stopped = serving.run("stop.sh", "-p", part)
    assert stopped.returncode == 1
    assert f"no server of this folder is running on port {part}" in stopped.stderr
    assert _health(serving.port)


def test_a_stop_during_a_reload_waits_and_stops_the_server_that_is_left(serving: Project) -> None:
    reload = serving.foreground(script="reload.sh")
    try:
        reload.line_with("hand-over")
        stopped = serving.run("stop.sh")
        assert stopped.returncode == 0, stopped.stderr
        assert "Waiting for process" in stopped.stderr
        assert reload.end() == 0, reload.output
        assert not _health(serving.port)
        assert not list((serving.folder / "instance/run").glob("*.pid*"))
    finally:
        reload.kill()


def test_a_reload_that_was_cut_off_does_not_keep_the_next_one_from_the_new_code(serving: Project) -> None:
    (pid_file,) = (serving.folder / "instance/run").glob("*.pid")
    os.kill(serving.pid(), signal.SIGUSR2)
    left_over = int(wait_until(lambda: _text(pid_file.with_name(pid_file.name + ".2")), 20))
    view = serving.folder / "app/pages/views.py"
    view.write_text(view.read_text().replace("def about() -> str:", "def about() -> str:\n    return 'newest'"))
    reloaded = serving.run("reload.sh")
    assert reloaded.returncode == 0, reloaded.stderr
    assert get(serving.port, "/about")[2] == "newest"
    assert not is_alive(left_over)


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def test_a_reload_refuses_another_address_and_says_what_to_do(serving: Project) -> None:
    (serving.folder / ".env").write_text("PORT=9\n")
    refused = serving.run("reload.sh")
    assert refused.returncode != 0
    assert "HOST or PORT in .env has changed" in refused.stderr


def test_a_broken_env_file_does_not_prevent_a_stop(serving: Project) -> None:
    (serving.folder / ".env").write_text("LOG_LEVEL=LOUD\nWORKERS=many\n")
    assert serving.run("stop.sh").returncode == 0
    assert not _health(serving.port)


def test_a_reload_without_a_server_or_with_another_server_says_so(project: Project) -> None:
    nothing = project.run("reload.sh")
    assert nothing.returncode != 0
    assert "no server of this folder is running" in nothing.stderr
    port = free_port()
    assert project.run("start.sh", "-d", "-p", str(port), "--server", "waitress").returncode == 0
    try:
        other = project.run("reload.sh")
        assert other.returncode != 0
        assert "only Gunicorn hands its socket over" in other.stderr
    finally:
        assert project.run("stop.sh").returncode == 0


def test_the_log_rotates_under_several_workers_and_loses_no_line(project: Project) -> None:
    logs = project.folder / "app/platform/logs.py"
    logs.write_text(logs.read_text().replace("LOG_FILE_BYTES = 10 * 1024 * 1024", "LOG_FILE_BYTES = 60_000"))
    logs.write_text(logs.read_text().replace("LOG_FILES_KEPT = 5", "LOG_FILES_KEPT = 99"))
    port = free_port()
    assert project.run("start.sh", "-d", "-p", str(port), "-w", "3").returncode == 0
    result = Load(port, "/about", keep_alive=4, close=4, think=0).run_until(1500)
    assert result.failed == 0
    assert result.answered >= 1500
    assert project.run("stop.sh").returncode == 0
    files = list((project.folder / "instance").glob("app.log*"))
    assert len(files) > 2
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sum('"path":"/about"' in line for line in lines) == result.answered
    assert all(line.startswith("{") and line.endswith("}") for line in lines if '"path"' in line)


def test_ctrl_c_in_the_foreground_stops_cleanly(project: Project) -> None:
    port = free_port()
    running = project.foreground("-p", str(port))
    try:
        wait_until(lambda: _health(port), 30, lambda: running.output)
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
        assert "Traceback" not in running.output
    finally:
        running.kill()


def _health(port: int) -> bool:
    try:
        return get(port, "/health")[0] == 200
    except OSError:
        return False
