"""A site as scripts/deploy.sh leaves it: BASE/releases/<id>, BASE/shared and BASE/current, with pages that wait."""

import os
import shutil
from pathlib import Path

from benchmarks.servers import WORK, flask
from tests.servers.project import Project

APPLICATION = """from benchmarks.work import app

    application = app
    app.add_url_rule("/large", view_func=lambda: "x" * 512 * 1024)"""


class Deployed:
    """`settings` go to shared/.env. Releases serve benchmarks/work.py: the application, and pages that wait."""

    def __init__(self, base: Path, **settings: object) -> None:
        self.base, self.shared = base, base / "shared"
        self.instance = self.shared / "instance"
        self.instance.mkdir(parents=True)
        self.set(**settings)
        flask(self.instance, "db", "upgrade")
        flask(self.instance, "make-counters", application=WORK)

    def set(self, **settings: object) -> None:
        (self.shared / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def release(self, name: str, environment: Path | None = None) -> Path:
        """A release with the environment of these tests, or the one at `environment`; nothing serves it yet."""
        folder = self.base / "releases" / name
        Project(folder, environment_too=environment is None)
        if environment:
            (folder / ".venv").symlink_to(environment)
        (folder / "RELEASE").write_text(name)
        (folder / ".env").symlink_to("../../shared/.env")
        (folder / "instance").symlink_to("../../shared/instance")
        wsgi = folder / "wsgi.py"
        made = "app = application = create_app()"
        assert made in wsgi.read_text(encoding="utf-8")
        text = wsgi.read_text(encoding="utf-8").replace(
            made, "from benchmarks.work import app\n\n    application = app"
        )
        wsgi.write_text(text, encoding="utf-8")
        return folder

    def point_current_to(self, name: str) -> None:
        link = self.base / "current.new"
        link.symlink_to(f"releases/{name}")
        os.replace(link, self.base / "current")

    def remove(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
