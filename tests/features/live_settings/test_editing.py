"""What the command and the admin page do to the file: one value changes, everything else stays as it was written."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.extras.live_settings import edit
from app.extras.live_settings.edit import change, edited
from app.extras.live_settings.live import Live
from app.extras.live_settings.schema import FaultError, Settings, parse
from benchmarks.servers import ROOT, environment
from tests.features.live_settings.conftest import Write

WRITTEN = """# Ask Ada before you change this.

[maintenance]
on = false          # the whole site

[flags]
# until the autumn
new-search = true
"""


def test_comments_and_order_stay() -> None:
    assert edited(WRITTEN, {"maintenance.on": True}) == WRITTEN.replace("on = false", "on = true")


def test_a_value_that_is_taken_away_takes_nothing_else_along() -> None:
    assert edited(WRITTEN, {"flags.new-search": None}) == WRITTEN.replace("new-search = true\n", "")


def test_lines_of_windows_stay() -> None:
    text = WRITTEN.replace("\n", "\r\n")
    assert edited(text, {"maintenance.on": True}) == text.replace("on = false", "on = true")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a remark",
        "maintenance.on = false",
        "maintenance = { on = false }\n",
        "[maintenance]\non = false",
        "[flags]\na = true\n[maintenance]\n[banner]\n",
        "[log_levels]\na.b.c = 'INFO'\n",
        "[log_levels]\n'a.b' = 'INFO'\n[log_levels.a]\nz = 'ERROR'\n",
        "[log_levels.a.b]\nc = 'INFO'\nd = 'ERROR'\n[banner]\ntext = 'hello'\n",
    ],
)
@pytest.mark.parametrize(
    "changes",
    [
        {"maintenance.on": True},
        {"log_levels.a.b.c": "DEBUG"},
        {"log_levels.a.b.c": None},
        {"log_levels.y": "DEBUG"},
        {"log_levels.a.b.c": None, "flags.a": None, "banner.text": 'quoted " and\nbroken'},
    ],
)
def test_however_the_file_is_written_a_change_changes_what_it_says_and_nothing_else(
    text: str, changes: dict[str, Any]
) -> None:
    wanted = Settings().by_name() | {
        name: value for name, value in (parse(text).by_name() | changes).items() if value is not None
    }
    assert parse(edited(text, changes)).by_name() == wanted


def test_what_would_not_fit_in_is_left_to_a_person() -> None:
    with pytest.raises(FaultError, match="can only be edited by hand"):
        edited("[log_levels]\na.b.c = 'INFO'\n", {"log_levels.a": "DEBUG"})


def test_a_faulty_file_is_not_changed(live: Live, write: Write) -> None:
    write("[banner]\ntext = 7\n")
    with pytest.raises(FaultError, match=r"Mend .*/live.toml first: line 2: banner.text must be a valid string"):
        change(live, {"banner.text": "hello"})
    assert live.path.read_text() == "[banner]\ntext = 7\n"


def test_a_change_is_in_force_here_at_once(live: Live) -> None:
    change(live, {"banner.text": "hello"})
    assert live.now.banner.text == "hello"


def test_permissions_stay(live: Live, write: Write) -> None:
    write(WRITTEN)
    live.path.chmod(0o660)
    change(live, {"maintenance.on": True})
    assert stat.S_IMODE(live.path.stat().st_mode) == 0o660


def test_a_link_stays_a_link(live: Live, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(WRITTEN)
    live.path.symlink_to(elsewhere)
    change(live, {"maintenance.on": True})
    assert live.path.is_symlink()
    assert "on = true " in elsewhere.read_text()


def test_nothing_else_is_left_in_the_folder(live: Live) -> None:
    before = set(live.path.parent.iterdir())
    change(live, {"maintenance.on": True})
    assert set(live.path.parent.iterdir()) - before - {live.folder} == {live.path}


def test_two_who_change_it_at_once_both_succeed(live: Live) -> None:
    names = [f"flags.number-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: change(live, {name: True}), names))
    assert {f"flags.{name}" for name in parse(live.path.read_text()).flags} == set(names)


def test_a_disk_without_room_leaves_the_file_whole(live: Live, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write(WRITTEN)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FaultError, match="No space left"):
        change(live, {"maintenance.on": True})
    assert live.path.read_text() == WRITTEN
    assert not list(live.path.parent.glob(".live*"))


def test_a_folder_that_can_only_be_read_is_named(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit.os, "access", lambda path, mode: False)
    with pytest.raises(FaultError, match=f"The folder {live.path.parent} can not be written from here"):
        change(live, {"maintenance.on": True})


def test_a_web_worker_does_not_carry_what_only_who_edits_needs(tmp_path: Path) -> None:
    code = "import sys, wsgi; sys.exit('tomlkit' in sys.modules or 'watchdog' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), check=True, timeout=60)


def test_two_applications_do_not_share_their_settings(app: Flask, live: Live, write: Write) -> None:
    other = Live(Flask("other", instance_path=str(live.path.parent / "other")), live.path.parent / "other.toml")
    write("[flags]\nnew = true\n")
    other.look()
    assert (live.now.flags, other.now.flags) == ({"new": True}, {})
