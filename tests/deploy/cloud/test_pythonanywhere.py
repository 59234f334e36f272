"""PythonAnywhere: its uWSGI loads a file of its own, which loads the application from the user's folder."""

import os
import subprocess
from pathlib import Path

from tests.deploy import rendering
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, wait_until


def test_the_file_serves_the_application_in_the_home_folder(
    bundle: Project, settings: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "groundwork").symlink_to(bundle.folder)
    settings |= {"HOME": str(home)}
    flask = [f"{bundle.folder}/.venv/bin/flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(flask, cwd=bundle.folder, env=settings, check=True, capture_output=True, timeout=60)
    file = rendering.place("cloud/pythonanywhere_wsgi.py", tmp_path / "var/www/ada_pythonanywhere_com_wsgi.py")
    port = free_port()
    server = Running(
        [f"{bundle.folder}/.venv/bin/uwsgi", "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2",
         "--enable-threads", "--threads", "4", "--wsgi-file", str(file), "--die-on-term"],
        env=settings, cwd="/",
    )  # fmt: skip
    try:
        wait_until(lambda: server.output.count("WSGI app 0 (") == 2 or "spawned uWSGI worker 2" in server.output, 60)
        assert get(port, "/ready", timeout=30)[0] == 200, server.output
        assert get(port, "/posts/")[0] == 200
        server.process.terminate()
        assert server.end() == 0
    finally:
        server.kill()
    assert os.listdir(home) == ["groundwork"]
