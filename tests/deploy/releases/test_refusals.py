"""What scripts/deploy.sh refuses before anything has changed, because it would not do what was meant."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.deploy.releases.site import Site


@pytest.fixture
def other_port(site: Site) -> Iterator[None]:
    settings = site.base / "shared/.env"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace(f"PORT={site.port}", "PORT=9"), encoding="utf-8")
    yield
    settings.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("unchanged", "other_port")
def test_a_deploy_refuses_another_address_before_it_migrates(site: Site) -> None:
    refused = site.deploy()
    assert refused.returncode == 1
    assert "HOST or PORT in .env has changed since the start" in refused.stderr
    assert f"run {site.base}/current/scripts/stop.sh and {site.base}/current/scripts/start.sh -d" in refused.stderr
    assert "4/7" not in refused.stderr


@pytest.mark.usefixtures("unchanged")
def test_a_failure_of_the_checklist_stops_a_deploy_and_says_what_mends_it(site: Site) -> None:
    settings = site.base / "shared/.env"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f"{text}TRUSTED_HOST=www.example.com\n", encoding="utf-8")
    try:
        refused = site.deploy()
    finally:
        settings.write_text(text, encoding="utf-8")
    assert refused.returncode == 1
    assert f"sed -i --follow-symlinks 's/^TRUSTED_HOST=/TRUSTED_HOSTS=/' '{settings}'" in refused.stderr
    assert "flask doctor found a fault; the remedy is above" in refused.stderr
    assert "4/7" not in refused.stderr


def test_a_finding_that_was_accepted_stops_no_deploy(site: Site) -> None:
    settings = site.base / "shared/.env"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f"{text}TRUSTED_HOST=www.example.com\nCSP_EXTRA_SOURCES=script-src *\n", encoding="utf-8")
    try:
        refused = site.deploy("--skip-check", "env.names")
        deployed = site.deploy("--skip-check", "env.names", "--skip-check", "csp")
    finally:
        settings.write_text(text, encoding="utf-8")
    assert refused.returncode == 1
    assert "csp.sources" in refused.stderr
    assert "env.names" not in refused.stderr
    assert deployed.returncode == 0, deployed.stderr


@pytest.mark.usefixtures("unchanged")
def test_what_git_says_of_a_repository_is_shown(site: Site) -> None:
    folder = site.project.folder
    try:
        for owned in (folder, folder / ".git"):
            shutil.chown(owned, "nobody")
        refused = site.deploy()
    finally:
        for owned in (folder, folder / ".git"):
            shutil.chown(owned, "root")
    assert refused.returncode == 1
    assert "detected dubious ownership in repository" in refused.stderr
    assert f"git can not read {folder}; its reason is above" in refused.stderr


@pytest.mark.usefixtures("unchanged")
def test_a_folder_that_only_lies_in_a_repository_is_refused(site: Site) -> None:
    beside = site.project.folder / "instance/clone"
    beside.mkdir(parents=True)
    refused = site.deploy("--repository", str(beside))
    assert refused.returncode == 1
    assert (
        f"{beside} belongs to {site.project.folder}/.git, whose HEAD has no wsgi.py for this folder" in refused.stderr
    )


def test_a_folder_of_a_repository_that_holds_the_application_is_deployed(site: Site, tmp_path: Path) -> None:
    inner = tmp_path / "all/web"
    inner.mkdir(parents=True)
    (inner / "wsgi.py").touch()
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        site.git(*command, folder=inner.parent if command[0] == "init" else inner)
    dry = site.deploy("--dry-run", "--repository", str(inner))
    assert dry.returncode == 0, dry.stderr


def test_an_archive_in_one_folder_is_deployed_with_what_others_pack_beside_it(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    site.git("archive", "--prefix=groundwork-main/", "--output", str(archive), "HEAD")
    with tarfile.open(archive, "a") as tar:
        for name in (".DS_Store", "pax_global_header"):
            tar.addfile(tarfile.TarInfo(name), BytesIO())
    deployed = site.deploy("--archive", str(archive))
    assert deployed.returncode == 0, deployed.stderr
    assert site.ready()["version"] == site.current
    assert not (site.base / "current/.DS_Store").exists()


def test_root_deploys_nothing_that_would_run_as_root(site: Site, tmp_path: Path) -> None:
    refused = site.run("deploy.sh", str(tmp_path))
    assert refused.returncode == 1
    assert "the site would run as root" in refused.stderr
    assert f"chown -R USER {tmp_path}; git archive HEAD | sudo -u USER" in refused.stderr
    assert not os.listdir(tmp_path)


def test_root_deploys_nothing_into_somebody_elses_folder(site: Site, tmp_path: Path) -> None:
    shutil.chown(tmp_path, "nobody")
    refused = site.run("deploy.sh", "--as-root", str(tmp_path))
    assert refused.returncode == 1
    assert "Deploy as the owner: sudo -u nobody" in refused.stderr
    assert not os.listdir(tmp_path)
