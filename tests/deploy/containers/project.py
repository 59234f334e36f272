"""The project as a user has it who builds an image: with more pages, and with secrets that are none of its affair."""

import shutil
from pathlib import Path

from benchmarks.servers import ROOT
from tests.deploy import rendering
from tests.deploy.containers.engine import Engine
from tests.servers.project import NOT_COPIED

VERSION = "4f2a9c01d5e6"
SECRET = "planted-where-people-leave-such-things"
PLANTED = (
    ".env", ".env.production", ".git/config", "app/.env", "app/.git/HEAD", "app/site.db", "app/site.db-wal",
    "app/site.sqlite3", "app/server.pem", "app/auth/server.key", "app/id_ed25519", "app/backup.tar.gz",
    "instance/app.db", "instance/secret_key", "secrets/OTHER", "migrations/all.dump", "serving/cert.p12",
    "backup.tar.gz",
)  # fmt: skip


def copy_project(copy: Path) -> Path:
    """benchmarks/work.py are its pages. Which of its files the engine's tools open is remembered."""
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    shutil.copy(ROOT / "benchmarks/work.py", copy / "app/work.py")
    wsgi, made = copy / "wsgi.py", "app = application = create_app()"
    text = wsgi.read_text(encoding="utf-8")
    assert made in text
    wsgi.write_text(text.replace(made, "from app.work import app\n\n    application = app"), encoding="utf-8")
    for name in PLANTED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(f"PLANTED={SECRET}\n")
    (copy / "deploy/compose/make-role.sh").chmod(0o700)  # as under a strict umask
    for name in rendering.TOP:
        rendering.remember(name, copy / name)
    for file in (copy / "deploy/compose").iterdir():
        rendering.remember(f"compose/{file.name}", file)
    return copy


def build(docker: Engine, project: Path, name: str, *options: str) -> None:
    """As docs/containers.md says."""
    docker.docker("build", "--build-arg", f"VERSION={VERSION}", "-t", name, *options, str(project))
