"""The unit that serves is found among those of others, whatever is in them."""

from pathlib import Path

import pytest
from flask import Flask

from app.platform.doctor.registry import Deployment

OURS = """\
[Service]
# Environment=WORKERS=1
WorkingDirectory={root}
Environment=HOST=unix:/run/web.sock "MAIL_FROM=A B <a@b.example>" \\
  THREADS=8
Environment=TITLE=Anna's
ExecStart={root}/.venv/bin/gunicorn wsgi:app
"""
FOREIGN = {
    "an open quote": b'[Service]\nEnvironment="A \\\n  B"\nEnvironment="C\nExecStart=/bin/true\n',
    "another encoding": b"[Unit]\nDescription=Caf\xe9\n",
    "no name": b"=x\n=\n[Service]\n",
}


@pytest.fixture
def units(machine: Path, root: Path) -> Path:
    folder = machine / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / "groundwork.service").write_text(OURS.format(root=root))
    return folder


def unit(app: Flask, root: Path, machine: Path) -> dict[str, str]:
    return Deployment(app.extensions["settings"], root=root, machine=machine).unit


def test_what_our_unit_says_is_read(app: Flask, root: Path, machine: Path, units: Path) -> None:
    said = unit(app, root, machine)
    assert (said["HOST"], said["THREADS"], said["MAIL_FROM"]) == ("unix:/run/web.sock", "8", "A B <a@b.example>")
    assert said["TITLE"] == "Anna's"
    assert "WORKERS" not in said


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_in_a_unit_of_others_blinds_no_check(
    what: str, app: Flask, root: Path, machine: Path, units: Path
) -> None:
    (units / "a-foreign.service").write_bytes(FOREIGN[what])
    assert unit(app, root, machine)["HOST"] == "unix:/run/web.sock"


def test_a_unit_that_can_not_be_read_blinds_no_check(app: Flask, root: Path, machine: Path, units: Path) -> None:
    (units / "a-dangling.service").symlink_to("/nowhere/at/all.service")
    (units / "a-folder.service").mkdir()
    (units / "a-masked.service").symlink_to("/dev/null")
    assert unit(app, root, machine)["HOST"] == "unix:/run/web.sock"
