"""What `flask doctor` says to type, typed: a copy of the project is broken in many places, and mended by it alone.

Commands go to bash in the project's folder, lines like NAME=value to the end of its .env, in the order in which they
are said, and all that was found is good then. TRIED_ELSEWHERE says where the others are.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import ROOT
from tests.servers.project import Project

Report = dict[str, dict[str, Any]]  # by id
FILLED = {"<a new one>": "b" * 40, "<name>": "admin"}  # what a finding leaves to whoever types it
SETTING = re.compile(r"([A-Z][A-Z_]+)=")

BROKEN = """\
APP_ENV=development
SECRET_KEY=abcdabcdabcdabcdabcdabcdabcdabcdabcdabcd
SECRET_KEY_FALLBACKS=dev
TRUSTED_HOST=www.example.com
HOST=127.0.0.1
CORS_ORIGINS=http://a.example.com
CSP_EXTRA_SOURCES="script-src *"
SESSION_HOURS=9000
LOG_LEVEL=DEBUG
LOG_FORMAT=console
LOG_FILE=log/app.log
WORKERS=500
WORKER_CLASS=gevent
METRICS_PORT=8080
MAIL_HOST=mail.invalid
MAIL_TLS=off
MAIL_FROM=a@b.example
"""
EDITS = {  # what is in a file, and what somebody has made of it
    "gunicorn.conf.py": {
        'http_parser = "python"': 'http_parser = "auto"',
        "preload_app = True": "preload_app = False",
        "max_requests = 10_000": "max_requests = 0",
    },
    "app/platform/cache.py": {'"app.platform.cache.SqliteCache"': '"NullCache"'},
    "app/platform/database.py": {'"foreign_keys=ON"': '"foreign_keys=OFF"'},
    "app/auth/passwords.py": {"memory_cost=19456": "memory_cost=1024"},
    "requirements.txt": {"--hash=": "--bash="},
}
SITE = "tests/deploy/systemd/test_doctor.py"  # on a machine that was installed: one command puts all of its files back
AS_SHIPPED = f"the same command as in {SITE}"
LIVE, SQL = "tests/servers/doctor/test_live_remedies.py", "tests/servers/doctor/test_postgres_and_redis.py"
UNIT = "tests/unit/doctor/test_host_checks.py"
TRIED_ELSEWHERE = {  # the file of the test, or why there is none
    **dict.fromkeys(("live.hosts", "live.cors"), LIVE),
    **dict.fromkeys(("db.role", "db.writable", "db.connections", "redis.memory"), SQL),
    **dict.fromkeys(("fs.owner",), UNIT),
    **dict.fromkeys(("live.headers", "live.redirect", "live.errors", "live.request-id", "live.body-limit"), SITE),
    **dict.fromkeys(("live.static", "live.compressed", "live.forwarded", "live.health", "live.private"), SITE),
    **dict.fromkeys(("server.timeouts", "server.sandbox", "live.websocket"), AS_SHIPPED),
    "live.cookies": "tests/deploy/nginx/test_doctor.py",  # TRUSTED_PROXIES=1 there is what it says
    "live.tls": "tests/deploy/nginx/test_certificates.py",
    "live.bypass": "tests/unit/doctor/test_live_checks.py",
    "live.process": "scripts/reload.sh: tests/servers/test_reload.py; a root's server is no setting",
    "live.answers": "it shows the log", "live.malformed": "as server.parser, and scripts/reload.sh",
    "live.login-limit": "it shows the code", "auth.session-ends": "it shows the code", "csrf.on": "it shows the code",
    "routes.guarded": "tests/unit/doctor/test_settings_checks.py",
    "cache.works": "tests/unit/doctor/test_database_checks.py",
    "db.answers": "it starts a service, or shows the file", "db.encrypted": "it asks for a password",
    "redis.safe": "it asks for a password", "sqlite.place": "it asks for another machine",
    "sqlite.room": "it shows what is large", "host.disk": "it shows what is large",
    "host.root": "it makes a user of the machine", "host.clock": "it sets the clock of the machine",
    "host.files": "it raises a limit, and starts again",
    "deploy.inplace": "a way to deploy: tests/deploy/releases", "deps.python": "it asks for another Python",
    "jobs.worker": "a process: tests/servers/worker", "jobs.parked": "a page",
    "mail.admins": "it asks for a mail server", "mail.server": "it asks for a mail server that answers",
}  # fmt: skip
IDS = [
    "secret.strength", "secret.fallbacks", "secret.git", "debug.off", "env.names", "proxy.hops", "cors.origins",
    "csp.sources", "session.length", "log.level", "log.masked", "log.private", "fs.private", "fs.served",
    "server.memory", "server.workers", "server.parser", "deps.locked", "db.migrations", "sqlite.pragmas",
    "sqlite.gevent", "backup.age", "metrics.readable", "mail.encrypted", "settings.live", "deploy.preload",
    "cache.shared", "auth.hash-cost", "hosts.trusted", "server.recycling",
]  # fmt: skip


def git(project: Project, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.example")
    subprocess.run(["git", *identity, *arguments], cwd=project.folder, check=True, capture_output=True)


def typed(project: Project, line: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 100, "check": False}
    return subprocess.run(["bash", "-c", line], cwd=project.folder, env=kept, **options)


def examine(project: Project) -> Report:
    done = typed(project, ".venv/bin/flask --app wsgi doctor --json")
    assert done.stdout.startswith("{"), done.stderr
    return {found["id"]: found for found in json.loads(done.stdout)["findings"]}


def type_in(project: Project, fix: str) -> None:
    for sample, value in FILLED.items():
        fix = fix.replace(sample, value)
    for line in fix.splitlines():
        if SETTING.match(line):
            with (project.folder / ".env").open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        else:
            done = typed(project, line)
            assert done.returncode == 0, (line, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """In a folder through which every user may pass, where pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="gw-open-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        made = Project(folder / "site")
        git(made, "init", "-q")
        git(made, "add", "-A")
        git(made, "commit", "-qm", "as shipped")
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def broken(project: Project) -> Report:
    folder = project.folder
    (folder / ".env").write_text(BROKEN)
    (folder / ".env").chmod(0o644)
    git(project, "add", "-f", ".env")
    git(project, "commit", "-qm", "settings")
    for file, edits in EDITS.items():
        text = (folder / file).read_text(encoding="utf-8")
        for good, bad in edits.items():
            assert good in text, file
            text = text.replace(good, bad)
        (folder / file).write_text(text, encoding="utf-8")
    (folder / "app/static/privkey.pem").write_text("secret")
    (folder / "log").mkdir()
    (folder / "log/app.log").touch(mode=0o644)
    (folder / "instance").mkdir(exist_ok=True)
    (folder / "instance/live.toml").write_text("[maintenance]\non = true\n")
    return examine(project)


@pytest.fixture(scope="module")
def mended(project: Project, broken: Report) -> Report:
    for found in broken.values():
        if found["id"] in IDS:
            type_in(project, found["fix"])
    return examine(project)


@pytest.mark.parametrize("identity", IDS)
def test_what_is_said_to_mend_it_mends_it_when_typed(identity: str, broken: Report, mended: Report) -> None:
    assert broken[identity]["status"] in {"WARN", "FAIL"}, broken[identity]
    assert mended[identity]["status"] in {"OK", "SKIP"}, (broken[identity]["fix"], mended[identity])
    assert mended[identity]["status"] == "OK" or identity == "mail.encrypted"


def test_a_migration_that_lacks_is_written_and_two_ends_are_joined(project: Project, mended: Report) -> None:
    assert mended["db.drift"]["status"] == mended["db.heads"]["status"] == "OK"
    model = project.folder / "app/extras/jobs/models.py"
    text = model.read_text(encoding="utf-8")
    model.write_text(text + "    colour: Mapped[str | None] = mapped_column(String(20))\n", encoding="utf-8")
    found = examine(project)
    assert found["db.drift"]["status"] == "WARN", found["db.drift"]
    type_in(project, found["db.drift"]["fix"])
    before = mended["db.heads"]["seen"].rstrip(".")
    (project.folder / "migrations/versions/of_a_branch.py").write_text(
        f"revision = 'aaaaaaaaaaaa'\ndown_revision = {before!r}\n\n\n"
        "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass\n"
    )
    found = examine(project)
    assert (found["db.drift"]["status"], found["db.heads"]["status"]) == ("SKIP", "FAIL"), found["db.drift"]
    type_in(project, found["db.heads"]["fix"])
    found = examine(project)
    assert found["db.drift"]["status"] == found["db.heads"]["status"] == "OK", found["db.drift"]


def test_a_password_that_is_tried_first_is_changed(project: Project, mended: Report) -> None:
    """The command asks for the new one."""
    make = (
        "from app import create_app; from app.auth.models import User; from app.auth.passwords import hash_password; "
    )
    make += "from app.extensions import db; from app.platform.database import write_unit; app = create_app(); "
    make += "context = app.app_context(); context.push(); unit = write_unit(); unit.__enter__(); "
    make += (
        "db.session.add(User(name='admin', password_hash=hash_password('admin123'))); unit.__exit__(None, None, None)"
    )
    made = typed(project, f'.venv/bin/python -c "{make}"')
    assert made.returncode == 0, made.stderr
    found = examine(project)["auth.default-users"]
    assert found["status"] == "FAIL", found
    done = typed(project, f"echo 'correct horse battery' | {found['fix']}")
    assert done.returncode == 0, done.stderr
    assert examine(project)["auth.default-users"]["status"] == "OK"


def test_the_remedy_of_every_check_is_tried_somewhere(mended: Report) -> None:
    here = {*IDS, "db.drift", "db.heads", "auth.default-users"}
    assert not set(mended) - here - set(TRIED_ELSEWHERE), "type what it says, or say here where that is done"
    assert not here & set(TRIED_ELSEWHERE)
    for identity, file in TRIED_ELSEWHERE.items():
        if file.startswith("tests/"):
            assert f'"{identity}"' in (ROOT / file).read_text(encoding="utf-8"), (identity, file)
