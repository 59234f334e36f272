"""scripts/start.sh, stop.sh, dev.sh as somebody types them, in a copy of the project."""

import http.client
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, is_alive, wait_until


@pytest.mark.parametrize("server", ["gunicorn", "waitress", "uwsgi"])
def test_one_command_serves_in_a_folder_with_spaces_and_umlauts(project: Project, server: str) -> None:
    if server == "uwsgi" and not (project.folder / ".venv/bin/uwsgi").exists():
        pytest.skip("uwsgi is not installed (requirements-uwsgi.txt)")
    port = free_port()
    running = project.foreground("-p", str(port), "-w", "2", "--server", server)
    try:
        wait_until(lambda: answers(port), 40, lambda: running.output)
        assert json.loads(get(port, "/ready")[2])["status"] == "ready"
        assert get(port, "/about")[0] == 200
        assert (project.folder / "instance/secret_key").stat().st_mode & 0o777 == 0o600
        assert (project.folder / "instance").stat().st_mode & 0o777 == 0o750  # the database is for nobody else to read
        assert project.pid() == running.process.pid, "signals must reach the server itself"
        running.process.terminate()
        assert running.end() == 0
    finally:
        running.kill()


def page(port: int) -> str:
    """The about page; nothing while a server that restarts refuses or cuts it off."""
    try:
        return get(port, "/about")[2]
    except (OSError, http.client.HTTPException):
        return ""


def answers(port: int) -> bool:
    try:
        return get(port, "/health")[0] == 200
    except OSError:
        return False


def test_the_background_server_logs_into_app_log_and_is_stopped(project: Project) -> None:
    port = free_port()
    started = project.run("start.sh", "-d", "--port", str(port))
    assert started.returncode == 0, started.stderr
    assert "Serving in the background" in started.stderr
    pid = project.pid()
    get(port, "/about")
    log = project.folder / "instance/app.log"
    wait_until(lambda: '"path":"/about"' in log.read_text(), 20)

    again = project.run("start.sh", "-d", "-p", str(port))
    assert again.returncode == 1
    assert f"0.0.0.0:{port} can not be used" in again.stderr
    assert get(port, "/health")[0] == 200

    stopped = project.run("stop.sh")
    assert stopped.returncode == 0, stopped.stderr
    assert f"Stopping server {pid}" in stopped.stderr
    assert not is_alive(pid)
    assert not list((project.folder / "instance").glob("drain-*"))
    none = project.run("stop.sh")
    assert none.returncode == 1
    assert "no server of this folder is running" in none.stderr


def test_a_stopping_server_first_tells_the_load_balancer(project: Project) -> None:
    port = free_port()
    assert project.run("start.sh", "-d", "-p", str(port), "-w", "2").returncode == 0
    stop = project.foreground("--drain", "5", script="stop.sh")
    try:
        wait_until(lambda: get(port, "/ready")[0] == 503, 20)
        assert "draining" in get(port, "/ready")[2]
        assert get(port, "/about")[0] == 200, "requests are still answered"
        assert stop.end() == 0
    finally:
        stop.kill()


def test_it_starts_from_any_folder_through_a_link(project: Project, tmp_path: Path) -> None:
    link = tmp_path / "serve"
    link.symlink_to(project.folder / "scripts/start.sh")
    port = free_port()
    running = Running([link, "-b", f"127.0.0.1:{port}"], env=project.settings, cwd=tmp_path)
    try:
        wait_until(lambda: answers(port), 40, lambda: running.output)
    finally:
        running.kill()


def test_two_servers_that_start_at_once_migrate_once(project: Project) -> None:
    ports = [free_port(), free_port()]
    servers = [project.foreground("-p", str(port), "-w", "1") for port in ports]
    try:
        for port, server in zip(ports, servers, strict=True):
            wait_until(lambda port=port: answers(port), 60, lambda server=server: server.output)
            assert get(port, "/ready")[0] == 200
        both = "\n".join(server.output for server in servers)
        assert "Traceback" not in both
        assert "locked" not in both
        assert project.run("stop.sh").returncode == 1, "which one must be said"
        assert project.run("stop.sh", "-p", str(ports[0])).returncode == 0
        assert answers(ports[1])
    finally:
        for server in servers:
            server.kill()


def test_the_development_server_reloads_and_stays_on_this_machine(project: Project) -> None:
    port = free_port()
    running = project.foreground("-p", str(port), script="dev.sh")
    try:
        wait_until(lambda: answers(port), 40, lambda: running.output)
        view = project.folder / "app/pages/views.py"
        view.write_text(view.read_text().replace("def about() -> str:", "def about() -> str:\n    return 'changed'"))
        wait_until(lambda: page(port) == "changed", 30, lambda: running.output)
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), 2):
            pass
    finally:
        running.process.terminate()
        running.kill()


@pytest.mark.parametrize("script", ["start.sh", "stop.sh", "reload.sh", "dev.sh", "test.sh", "lock.sh"])
def test_each_script_explains_itself_and_refuses_what_it_does_not_know(project: Project, script: str) -> None:
    helped = project.run(script, "--help")
    assert helped.returncode == 0
    assert f"scripts/{script}" in helped.stdout
    wrong = project.run(script, "--no-such-option")
    assert wrong.returncode == 2
    assert "unknown option --no-such-option" in wrong.stderr


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (["-p", "PORT-IN-USE"], {}, "can not be used (Address already in use). Stop what listens there, or: -p"),
        ([], {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "The database does not answer"),
        ([], {"WORKERS": "lots", "LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ([], {"SECRET_KEY": "changeme"}, "SECRET_KEY"),
        (["--server", "apache"], {}, "--server takes gunicorn, waitress or uwsgi"),
        (["-p"], {}, "-p needs a value"),
    ],
)
def test_what_can_not_start_says_why_in_one_line(
    project: Project, options: list[str], settings: dict[str, str], message: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        options = [option.replace("PORT-IN-USE", port) for option in options]
        started = time.monotonic()
        completed = project.run("start.sh", *options, **settings)
    assert completed.returncode != 0
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
    assert "changeme" not in completed.stderr
    assert time.monotonic() - started < 30


def test_a_background_server_that_fails_says_why(project: Project) -> None:
    (project.folder / "wsgi.py").write_text(
        "app = None\nfrom app import create_app\napp = create_app()\nraise RuntimeError('broken release')\n"
    )
    completed = project.run("start.sh", "-d", "-p", str(free_port()))
    assert completed.returncode == 1
    assert "broken release" in completed.stderr


def test_concurrent_requests_are_all_answered_on_a_default_start(project: Project) -> None:
    """The fault that this project began with: a page fires 40 requests at once, and some fail."""
    port = free_port()
    assert project.run("start.sh", "-d", "-p", str(port)).returncode == 0
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(get(port, "/")[0])) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40
    assert project.run("stop.sh").returncode == 0
