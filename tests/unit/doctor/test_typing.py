"""What is to be typed can be typed where it is said: in a folder to edit, in a release, in an image."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
from flask import Flask

from app.platform.doctor import examination, remedies
from app.platform.doctor.registry import Check, Deployment, fail
from tests.unit.doctor.conftest import assert_seen, look

RESTORED = "git checkout app/platform/cache.py"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """As scripts/deploy.sh makes it: no .git, and .env is a link."""
    base = tmp_path / "a site"
    folder = base / "releases/20260101-000000-abcdef00"
    (folder / ".venv").mkdir(parents=True)
    (folder / ".env").symlink_to("../../shared/.env")
    (base / "shared").mkdir()
    (base / "shared/.env").write_text("A=1\n")
    return folder


def said(app: Flask, fix: str, **around: Any) -> str:
    """What becomes of a fix that a check has computed."""
    made = Check("made.up", "Is it so?", "", lambda _: fail("No.", fix), False, False)
    return told(app, made, **around)


def told(app: Flask, made: Check, **around: Any) -> str:
    with app.app_context():
        (result,) = examination.examine(Deployment(app.extensions["settings"], **around), [made])
    return result.finding.fix


# --- in a release ----------------------------------------------------------------------------------


def test_in_a_release_settings_are_mended_behind_the_link(app: Flask, release: Path) -> None:
    behind = release.parent.parent / "shared/.env"
    behind.write_text("TRUSTED_HOST=a.example\n")
    found = look(app, "env.names", root=release)
    assert_seen(found, "FAIL", "TRUSTED_HOST")
    subprocess.run(found.fix, shell=True, cwd="/", check=True)  # noqa: S602 - what a user would type
    assert (release / ".env").is_symlink()
    assert behind.read_text() == "TRUSTED_HOSTS=a.example\n"
    assert look(app, "env.names", root=release).status == "OK"


def test_a_line_of_the_docs_typed_in_a_release_leaves_the_link(release: Path) -> None:
    line = "sed -i --follow-symlinks 's/^A=/B=/' .env"
    subprocess.run(line, shell=True, cwd=release, check=True)  # noqa: S602 - what a user would type
    assert (release / ".env").is_symlink()


def test_where_settings_are_written_is_named_whole(app: Flask, release: Path, machine: Path) -> None:
    behind = quote(str(release.parent.parent / "shared/.env"))
    deployment = Deployment(app.extensions["settings"], root=release, machine=machine)
    assert remedies.settings_place(deployment) == f"in {behind}, then scripts/reload.sh"
    assert said(app, "echo A=1 >> .env", root=release) == f"echo A=1 >> {behind}"
    assert said(app, "cp .env.example /srv/a/.env", root=release) == "cp .env.example /srv/a/.env"


def test_permissions_are_mended_where_the_file_is_and_not_in_a_folder_that_goes(
    app: Flask, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.platform.doctor.host.exposed", lambda file: file.name == ".env")
    assert (
        look(app, "fs.private", root=release).fix == f"chmod o-rwx {quote(str(release.parent.parent / 'shared/.env'))}"
    )


def test_a_release_is_no_repository_and_is_not_mended_as_one(app: Flask, release: Path, machine: Path) -> None:
    again = f"scripts/deploy.sh {quote(str(release.parent.parent))}"
    search = "git grep -n x app/"
    for line, becomes in (
        (RESTORED, f"cd <repository> && {RESTORED} && {again}"),
        (f"{RESTORED} && scripts/reload.sh", f"cd <repository> && {RESTORED} && {again}"),
        (search, f"cd <repository> && {search}  # then {again}"),
        (f"{search}  # and out", f"cd <repository> && {search}  # and out, then {again}"),
    ):
        assert said(app, line, root=release, machine=machine) == becomes
    (release / ".git").mkdir()
    assert said(app, RESTORED, root=release, machine=machine) == RESTORED


def test_a_folder_that_was_unpacked_is_no_repository_either(app: Flask, root: Path, machine: Path) -> None:
    assert said(app, RESTORED, root=root, machine=machine) == f"cd <repository> && {RESTORED}  # then copy it to {root}"


def test_an_image_is_mended_by_the_next_one(app: Flask, root: Path, machine: Path) -> None:
    (machine / ".dockerenv").touch()
    assert said(app, RESTORED, root=root, machine=machine).endswith("&& docker compose up --detach --build")


# --- what is hidden --------------------------------------------------------------------------------


def with_password(make_app: Callable[..., Flask], password: str) -> Flask:
    return make_app(DATABASE_URL=f"postgresql+psycopg://postgres:{password}@127.0.0.1:1/app")


@pytest.mark.parametrize(
    ("password", "line"),
    [
        ("postgres", "sudo systemctl start postgresql"),
        ("postgresql", "sudo systemctl start postgresql"),
        ("groundwork", "sudo scripts/install-service.sh /srv/groundwork"),
        ("checkout", "git checkout app"),
    ],
)
def test_a_password_that_is_a_word_spoils_no_line(
    password: str, line: str, make_app: Callable[..., Flask], root: Path
) -> None:
    (root / ".git").mkdir()
    function = eval(f"lambda _: fail('No.', {line!r})", {"fail": fail})  # noqa: S307 - a literal of its code
    assert told(with_password(make_app, password), Check("made.up", "", "", function, False, False), root=root) == line


@pytest.mark.parametrize("password", ["postgres", "postgresql", "groundwork", "groundwork-2-app"])
def test_a_password_that_was_put_into_a_line_is_hidden(password: str, make_app: Callable[..., Flask]) -> None:
    app = with_password(make_app, password)

    def careless(deployment: Deployment) -> Any:
        return fail("No.", f"sudo systemctl start postgresql  # {deployment.settings.DATABASE_URL} {password}")

    line = told(app, Check("made.up", "", "", careless, False, False))
    assert line.startswith("sudo systemctl start postgresql  # ")
    assert line.endswith(":***@127.0.0.1:1/app ***")


def test_the_folder_of_the_site_is_no_secret(make_app: Callable[..., Flask], release: Path) -> None:
    app = with_password(make_app, "releases")
    assert str(release) in said(app, f"chmod o-rwx {release}/x", root=release)


def test_a_long_secret_is_hidden_inside_a_word_too(make_app: Callable[..., Flask]) -> None:
    app = with_password(make_app, "aaaabbbbccccddddeeee")
    assert said(app, "x_aaaabbbbccccddddeeee_y") == "x_***_y"
    assert said(with_password(make_app, "abc12345"), "xabc12345y") == "x***y"
