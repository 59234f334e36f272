"""scripts/deploy.sh and rollback.sh without systemd: what an operator sees, and what stays when something is broken."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.releases.site import Site, append
from tests.servers.running import get, wait_until


def test_the_first_deploy_starts_the_site(site: Site) -> None:
    assert site.ready() == {"status": "ready", "version": site.current, "problems": [], "warnings": []}
    assert (site.base / "shared/instance/app.db").exists()


def test_a_deploy_says_what_it_does_and_how_long_it_took(site: Site) -> None:
    before = site.current
    site.commit(
        "said",
        app__pages__views=lambda text: text.replace("def about() -> str:", "def about() -> str:\n    return 'said'"),
    )
    deployed = site.deploy()
    assert deployed.returncode == 0, deployed.stderr
    steps = [line for line in deployed.stderr.splitlines() if "/7 " in line]
    assert [line.split("/7 ")[0][-1] for line in steps] == list("1234567")
    assert all(line.startswith("[") and " s] " in line for line in steps)
    assert site.current != before
    assert site.ready()["version"] == site.current
    assert get(site.port, "/about")[2] == "said"
    assert f" {site.current} deployed by " in (site.base / "shared/deploys.log").read_text()


BROKEN = {
    "import error": (
        {"app__pages__views": append("import nothing_of_this_name")},
        "No module named 'nothing_of_this_name'",
    ),
    "never ready": (
        {"app__platform__health": lambda text: text.replace("problems: list[str] = []", "problems = ['never']")},
        "/ready answers 503: never",
    ),
    "fails only as a successor": (
        {"wsgi": append("import os\nif 'GUNICORN_PID' in os.environ:\n    raise SystemExit(3)")},
        "rolling back",
    ),
    "another version": (
        {"app__platform__version": lambda text: text.replace('_read(root / "RELEASE")', '"other"')},
        "release other answers, not",
    ),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_release_never_serves(site: Site, fault: str) -> None:
    changed, reason = BROKEN[fault]
    tag = site.broken(fault.replace(" ", "-"), **changed)
    started, master = time.monotonic(), site.master
    deployed = site.deploy("--ref", tag)
    assert deployed.returncode == 1, deployed.stderr
    assert site.master == master  # it has never stopped
    assert reason in deployed.stderr
    assert f"Not deployed. {site.current} keeps serving." in deployed.stderr
    assert time.monotonic() - started < 60


@pytest.mark.usefixtures("unchanged")
def test_a_failing_migration_stops_the_deploy(site: Site) -> None:
    deployed = site.deploy("--ref", site.migration("failing", 'op.execute("SELECT 1 FROM nowhere")'))
    assert deployed.returncode == 1
    assert "The database refuses (no such table: nowhere): SELECT 1 FROM nowhere" in deployed.stderr
    assert site.ready()["warnings"] == []


@pytest.mark.usefixtures("unchanged")
def test_a_migration_that_removes_something_is_refused(site: Site) -> None:
    step = 'with op.batch_alter_table("posts") as posts:\n        posts.drop_column("title")'
    deployed = site.deploy("--ref", site.migration("destructive", step))
    assert deployed.returncode == 1
    assert "20991231_ffffffffffff_next.py:13: removes a column" in deployed.stderr
    assert "--allow-destructive overrules this" in deployed.stderr


@pytest.mark.usefixtures("unchanged")
def test_a_second_deploy_at_once_is_refused_and_told_who_and_since_when(site: Site) -> None:
    first = site.begin(
        "--ref", site.broken("slow", app__pages__views=append("import time\ntime.sleep(3)\nimport nothing"))
    )
    try:
        first.line_with("2/7")
        started = time.monotonic()
        second = site.deploy()
        assert time.monotonic() - started < 1
        assert second.returncode == 1
        assert f"process {first.process.pid} (root@{os.uname().nodename}, since 20" in second.stderr
        assert "deploys slow" in second.stderr
        assert first.end() == 1
    finally:
        first.kill()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_deploy_leaves_nothing_behind(site: Site, number: int) -> None:
    deploying = site.begin()
    try:
        deploying.line_with("2/7")
        os.killpg(deploying.process.pid, number)
        assert deploying.end() == 130
    finally:
        deploying.kill()


def test_the_lock_of_a_killed_deploy_holds_nobody_up(site: Site) -> None:
    killed = site.begin()
    killed.line_with("2/7")
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.end()
    assert os.path.lexists(site.base / "deploy.lock")
    assert site.deploy("--keep", "1").returncode == 0
    assert len(site.releases) == 2  # the current, one to go back to, and nothing of the killed one


@pytest.mark.usefixtures("unchanged")
def test_a_dry_run_says_what_would_happen(site: Site) -> None:
    before = sorted(site.base.rglob("*"))
    dry = site.deploy("--dry-run", "--ref", "first")
    assert dry.returncode == 0
    assert f"switch from {site.current}" in dry.stderr
    assert sorted(site.base.rglob("*")) == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--ref", "no-such-tag"], 1, "has no commit, tag or branch no-such-tag"),
        (["--repository", "/nowhere"], 1, "/nowhere can not be fetched"),
        (["--archive", "/nowhere.tar"], 1, "is empty or can not be read"),
        (["--archive", __file__], 1, "the archive can not be unpacked"),
        (["--keep", "some"], 1, "--keep takes a whole number, not some"),
        (["--unknown"], 2, "unknown option --unknown"),
        (["--ref"], 1, "can not be found"),
    ],
)
def test_a_wrong_call_changes_nothing_and_says_why(site: Site, options: list[str], code: int, said: str) -> None:
    if options == ["--ref"]:
        said = "name the site's folder"  # it took the folder for the value
        code = 2
    deployed = site.deploy(*options)
    assert deployed.returncode == code
    assert said in deployed.stderr


def test_an_archive_over_ssh_is_read_from_the_standard_input(site: Site) -> None:
    archive = subprocess.run(
        ["git", "-C", site.project.folder, "archive", "--prefix=groundwork-main/", "HEAD"],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    commit = subprocess.run(
        ["git", "-C", site.project.folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    file = site.project.folder.parent / "archive.tar"
    file.write_bytes(archive)
    with file.open("rb") as stream:
        deployed = site.deploy("--archive", "-", stdin=stream)
    assert deployed.returncode == 0, deployed.stderr
    assert site.current.endswith(f"-{commit[:8]}")


def test_a_rollback_serves_on_a_database_that_is_newer_than_its_code(site: Site) -> None:
    before = site.current
    step = 'op.create_table("later", sa.Column("id", sa.Integer, primary_key=True))'
    deployed = site.deploy("--ref", site.migration("newer", step))
    assert deployed.returncode == 0, deployed.stderr
    newer = site.current
    started = time.monotonic()
    back = site.rollback()
    assert back.returncode == 0, back.stderr
    assert time.monotonic() - started < 30
    assert site.ready() == {
        "status": "ready",
        "version": before,
        "problems": [],
        "warnings": ["database: newer than the code, as after a rollback"],
    }
    listed = site.rollback("--list").stdout.splitlines()
    assert [line.split()[0] for line in listed if line.endswith("current")] == [before]
    assert site.rollback(newer).returncode == 0
    assert site.ready()["version"] == newer


@pytest.mark.usefixtures("unchanged")
def test_a_rollback_to_what_never_served_is_refused(site: Site) -> None:
    refused = site.rollback("20200101-000000-00000000")
    assert refused.returncode == 1
    assert "is no release that has served. (See --list)" in refused.stderr


def test_a_server_that_died_is_started_by_the_next_deploy(site: Site) -> None:
    (master,) = site.masters()
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for process in [master, *map(int, children)]:
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{master}").exists(), 10)
    deployed = site.deploy()
    assert deployed.returncode == 0, deployed.stderr
    assert site.ready()["version"] == site.current
