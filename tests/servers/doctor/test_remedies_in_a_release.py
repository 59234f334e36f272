"""What `flask doctor` says to type in a release, as scripts/deploy.sh makes it: .env is a link, and there is no .git.

Typed in another folder, for a deploy that is refused removes the release that said it.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest

from tests.servers.doctor.test_remedies import BROKEN, EDITS, FILLED, SETTING, Report, examine
from tests.servers.project import Project

MENDED = [
    "secret.strength", "secret.fallbacks", "debug.off", "env.names", "hosts.trusted", "proxy.hops", "cors.origins",
    "csp.sources", "session.length", "log.level", "log.masked", "fs.private",
]  # fmt: skip
OF_THE_CODE = {
    "server.parser": "gunicorn.conf.py", "deploy.preload": "gunicorn.conf.py", "cache.shared": "app/platform/cache.py",
    "sqlite.pragmas": "app/platform/database.py", "deps.locked": "requirements.txt",
}  # fmt: skip


@pytest.fixture(scope="module")
def release() -> Iterator[Project]:
    base = Path(tempfile.mkdtemp(prefix="gw open-", dir="/tmp"))
    base.chmod(0o755)
    try:
        project = Project(base / "releases/20260101-000000-abcdef00")
        (base / "shared/instance").mkdir(parents=True)
        (base / "shared/.env").write_text(BROKEN.rstrip())  # the last line has no end
        (base / "shared/.env").chmod(0o644)
        for name in (".env", "instance"):
            (project.folder / name).unlink(missing_ok=True)
            (project.folder / name).symlink_to(f"../../shared/{name}")
        (project.folder / "RELEASE").write_text(project.folder.name)
        for file, edits in EDITS.items():
            text = (project.folder / file).read_text(encoding="utf-8")
            for good, bad in edits.items():
                text = text.replace(good, bad)
            (project.folder / file).write_text(text, encoding="utf-8")
        yield project
    finally:
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def broken(release: Project) -> Report:
    return examine(release)


@pytest.fixture(scope="module")
def mended(release: Project, broken: Report) -> Report:
    settings = release.folder.parent.parent / "shared/.env"
    for identity in MENDED:
        fix = broken[identity]["fix"]
        for sample, value in FILLED.items():
            fix = fix.replace(sample, value)
        for line in fix.splitlines():
            if SETTING.match(line):
                with settings.open("a", encoding="utf-8") as file:
                    file.write(f"\n{line}\n")
            else:
                done = subprocess.run(["bash", "-c", line], cwd="/", capture_output=True, text=True, check=False)
                assert done.returncode == 0, (line, done.stderr)
    return examine(release)


@pytest.mark.parametrize("identity", MENDED)
def test_what_is_typed_mends_the_settings_of_the_site(
    identity: str, broken: Report, mended: Report, release: Project
) -> None:
    assert broken[identity]["status"] in {"WARN", "FAIL"}, broken[identity]
    assert release.folder.name not in broken[identity]["fix"]
    assert mended[identity]["status"] == "OK", (broken[identity]["fix"], mended[identity])
    assert (release.folder / ".env").is_symlink()


@pytest.mark.parametrize("identity", OF_THE_CODE)
def test_code_is_mended_in_the_repository(identity: str, broken: Report, release: Project) -> None:
    base = quote(str(release.folder.parent.parent))
    line = f"cd <repository> && git checkout {OF_THE_CODE[identity]} && scripts/deploy.sh {base}"
    assert line in broken[identity]["fix"].splitlines()


def test_no_line_is_for_a_repository_that_is_not_there(broken: Report, mended: Report) -> None:
    for found in (*broken.values(), *mended.values()):
        assert not any(line.startswith("git ") for line in found["fix"].splitlines()), found
