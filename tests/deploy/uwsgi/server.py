"""A real uWSGI with deploy/uwsgi/groundwork.ini, as the commands of docs/uwsgi.md start it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving import metrics_folder
from tests.deploy import rendering
from tests.deploy.deployed import Deployed
from tests.servers.running import Running, free_port, wait_until


class Uwsgi:
    """`variant` is the section: http, on `port`, or socket, in the folder `run`. Release one serves, two waits."""

    def __init__(
        self, folder: Path, variant: str, processes: int, options: list[str], user: str, settings: dict[str, object]
    ) -> None:
        self.processes, self.run, self.port, self.log = (
            processes,
            folder / "run",
            free_port(),
            folder / "site/shared/instance/uwsgi.log",
        )
        self.run.mkdir()
        self.site = Deployed(folder / "site", **settings)
        values = {"base": str(self.site.base), "run": str(self.run), "port": str(self.port), "user": user}
        ini = rendering.place(
            "uwsgi/groundwork.ini", self.site.release("one") / "deploy/uwsgi/groundwork.ini", **values
        )
        shutil.copy(ini, self.site.release("two") / "deploy/uwsgi")
        self.site.point_current_to("one")
        current = self.site.base / "current"
        self.command = [f"{current}/.venv/bin/uwsgi", "--ini", f"{current}/deploy/uwsgi/groundwork.ini:{variant}"]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self.server = Running([*self.command, *options], cwd="/", env=environment)

    def wait(self, count: int | None = None) -> None:
        """Until all workers have loaded the application, or `count` of them."""
        wait_until(lambda: self.loaded() >= (count or self.processes), 60, lambda: self.server.output)

    def loaded(self) -> int:
        assert self.server.process.poll() is None, self.server.output
        return self.server.output.count("WSGI app 0 (mountpoint='') ready")

    def tell(self, command: str) -> None:
        """As `echo c > /run/groundwork/uwsgi.fifo`."""
        (self.run / "uwsgi.fifo").write_text(command)

    def reload_one_by_one(self) -> None:
        """Returns when each worker has been replaced."""
        before = self.server.output.count("chain reloading complete")
        self.tell("c")
        wait_until(
            lambda: self.server.output.count("chain reloading complete") > before, 90, lambda: self.server.output
        )

    def stats(self) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.run / "uwsgi-stats.sock"))
            with connection.makefile() as text:
                return json.load(text)

    def workers(self) -> set[int]:
        return {worker["pid"] for worker in self.stats()["workers"]}

    def access_lines(self) -> list[dict[str, Any]]:
        time.sleep(0.3)  # the master passes them on
        return [json.loads(line) for line in self.server.lines if line.startswith("{") and '"access"' in line]

    def end(self) -> None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.server.process.terminate()
            self.server.process.wait(40)
        self.server.kill()
        self.forget(self.server.process.pid)

    def forget(self, master: int) -> None:
        """The next server would remove where the workers of this one have counted; here is no next one."""
        shutil.rmtree(metrics_folder.folder_of(self.site.instance, master), ignore_errors=True)


@contextmanager
def uwsgi(
    variant: str,
    *options: str,
    processes: int | None = None,
    loaded: int | None = None,
    user: str = "root",
    **settings: object,
) -> Iterator[Uwsgi]:
    """With the 4 processes of the file, or with fewer."""
    fewer = ["--processes", str(processes)] if processes else []
    folder = Path(tempfile.mkdtemp(prefix="gw-uwsgi-"))
    try:
        server = Uwsgi(folder, variant, processes or 4, [*fewer, *options], user, settings)
        try:
            server.wait(loaded)
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
