"""What an operator sees after an edit of live.toml: it counts at once or is refused as a whole, however it was made."""

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.extras.live_settings import live as live_module
from app.extras.live_settings.live import Live
from app.extras.live_settings.schema import Settings
from config import ROOT, TestingConfig
from tests.features.live_settings.conftest import Write

ON, OFF = "[maintenance]\non = true \n", "[maintenance]\non = false\n"  # of one length
OTHERS = 'banner.text = "what was in force"\n'


def look_after_a_while(live: Live) -> None:
    """As a request does it, a second and more after an edit."""
    time.sleep(live_module.SETTLING)
    live.next_look = 0
    live.look_if_due()


def test_without_a_file_all_have_their_defaults(live: Live) -> None:
    assert live.now == Settings()
    assert live.fault == ""


def test_an_edit_counts_a_second_later_without_a_restart(app: Flask, file: Path) -> None:
    client = app.test_client()
    assert "tea at five" not in client.get("/about").text
    file.write_text('[banner]\ntext = "tea at five"\n')
    time.sleep(live_module.LOOK + live_module.SETTLING)
    assert "tea at five" in client.get("/about").text


def test_whatever_the_load_the_file_is_looked_at_once_a_second(
    app: Flask, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(OFF)
    looks: list[float] = []
    real = os.stat

    def stat(path: object, *arguments: object, **named: object) -> os.stat_result:
        if path == file:
            looks.append(time.monotonic())
        return real(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    asked: Counter[int] = Counter()
    started = time.monotonic()
    ends = started + 2.5

    def visit(number: int) -> None:
        client = app.test_client()
        while time.monotonic() < ends:
            client.get("/nothing-here")
            asked[number] += 1

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    # The first look reads the file too, and asks once more what kind of file it is.
    assert 2 <= len(looks) <= (time.monotonic() - started) / live_module.LOOK + 2, looks
    assert sum(asked.values()) > 20 * len(looks)


def in_place(file: Path) -> None:
    file.write_text(ON)


def replaced_by_an_editor(file: Path) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(ON)
    os.replace(draft, file)


def replaced_with_the_time_of_before(file: Path) -> None:
    """As a file system with a coarse clock shows two edits within its second; the sizes are the same too."""
    before = file.stat()
    replaced_by_an_editor(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def in_place_with_the_time_of_before(file: Path) -> None:
    before = file.stat()
    in_place(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def with_a_mark_of_windows(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + ON.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    "edit",
    [
        in_place,
        replaced_by_an_editor,
        replaced_with_the_time_of_before,
        in_place_with_the_time_of_before,
        with_a_mark_of_windows,
    ],
)
def test_an_edit_is_seen_whichever_way_it_is_made(edit: Callable[[Path], None], live: Live, write: Write) -> None:
    write(OFF)
    edit(live.path)
    look_after_a_while(live)
    assert live.now.maintenance.on


def test_a_swap_of_the_link_of_a_configmap_is_seen(tmp_path: Path) -> None:
    volume, made = tmp_path / "volume", []

    def publish(text: str) -> None:
        """As the kubelet does it: https://github.com/kubernetes/kubernetes pkg/volume/util/atomic_writer.go"""
        folder = volume / f"..2026_{len(made)}"
        folder.mkdir(parents=True)
        (folder / "live.toml").write_text(text)
        (volume / "..data_tmp").symlink_to(folder.name)
        (volume / "..data_tmp").rename(volume / "..data")
        if made:
            (made[-1] / "live.toml").unlink()
            made[-1].rmdir()
        else:
            (volume / "live.toml").symlink_to("..data/live.toml")
        made.append(folder)

    publish(OFF)
    app = create_app(TestingConfig(INSTANCE_PATH=tmp_path / "i", LIVE_SETTINGS=volume / "live.toml"))
    live: Live = app.extensions["live_settings"]
    for text in (ON, OFF, ON):
        publish(text)
        look_after_a_while(live)
        assert live.now.maintenance.on == (text == ON)


def test_a_file_that_is_being_written_is_left_to_the_next_look(live: Live, write: Write) -> None:
    write(ON)
    live.path.write_text("")  # what an editor that writes in place has done first
    live.next_look = 0
    live.look_if_due()
    assert live.now.maintenance.on
    look_after_a_while(live)
    assert not live.now.maintenance.on


def test_a_file_that_is_away_for_a_moment_changes_nothing(live: Live, write: Write) -> None:
    write(ON)
    live.path.rename(live.path.with_suffix(".bak"))
    live.next_look = 0
    live.look_if_due()
    live.path.write_text(f"{OTHERS}{ON}")
    assert live.now.maintenance.on
    look_after_a_while(live)
    assert (live.now.maintenance.on, live.now.banner.text) == (True, "what was in force")


def test_a_file_that_is_gone_means_the_defaults(live: Live, write: Write) -> None:
    write(ON)
    live.path.unlink()
    look_after_a_while(live)
    assert live.now == Settings()


def test_the_file_in_the_docs_is_one(write: Write, live: Live) -> None:
    (written,) = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs/live-settings.md").read_text(encoding="utf-8"), re.DOTALL
    )
    write(written)
    assert (live.fault, live.now.log_levels["sqlalchemy.engine"]) == ("", "INFO")


def test_an_empty_file_means_the_defaults(live: Live, write: Write) -> None:
    write(ON)
    write("# nothing\n")
    assert live.now == Settings()


BAD = {
    "[maintenance]\non = tru\n": "line 2: Invalid value",
    "[maintenance\non = true\n": "line 1: ",
    '[maintenance]\n\n# why\non = "true"\n': "line 4: maintenance.on must be a valid boolean",
    "[maintenance]\non = 1\n": "line 2: maintenance.on must be a valid boolean",
    "[maintenance]\nretry_after = 0\n": "line 2: maintenance.retry_after must be greater than or equal to 1",
    "[maintenance]\nretry_after = 1.5\n": "line 2: maintenance.retry_after must be a valid integer",
    "[maintenance]\noff = false\n": "line 2: there is no setting maintenance.off. There are maintenance.on, ",
    "[maintainance]\non = true\n": "line 1: there is no setting maintainance. There are maintenance.on, ",
    "on = true\n": "line 1: there is no setting on. ",
    "maintenance = true\n": "line 1: maintenance must be ",
    '[banner]\ntext = """\nlong\n"""\nlevel = "loud"\n': "line 5: banner.level must be 'info' or 'warning'",
    f'[banner]\ntext = "{"x" * 301}"\n': "line 2: banner.text must have at most 300 characters",
    '[log_levels]\n"sqlalchemy.engine" = "LOUD"\n': "line 2: log_levels.sqlalchemy.engine must be 'DEBUG'",
    "[log_levels]\nsqlalchemy.engine = 7\n": "line 2: log_levels.sqlalchemy.engine must be 'DEBUG'",
    "[flags]\nReading = true\n": "line 2: flags.Reading must match pattern",
    "[flags]\na = true\na = false\n": "line 3: ",
    f"x = {'[' * 8000}": "",
    f"{'a.' * 1500}a = 1\n": "",
    f"x = {'9' * 5000}\n": "",
    f"#{'x' * 17000}": "it is larger than 16384 bytes",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:30])
def test_a_bad_edit_changes_nothing_and_says_why(
    text: str, live: Live, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write(OTHERS)
    caplog.set_level(logging.INFO, "groundwork.live_settings")
    write(text)
    assert BAD[text] in live.fault
    assert live.now.banner.text == "what was in force"
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(live.path) in record.getMessage()
    assert BAD[text] in record.getMessage()


def test_two_faults_are_said_with_their_lines(live: Live, write: Write) -> None:
    write("[maintenance]\non = 3\n[flags]\nnew = 4\n")
    assert [line.partition(" must")[0] for line in live.fault.splitlines()] == [
        "line 2: maintenance.on",
        "line 4: flags.new",
    ]


def test_a_file_that_is_no_text_changes_nothing(live: Live, write: Write) -> None:
    write(OTHERS)
    live.path.write_bytes(b"\xff\xfe\0[")
    live.look()
    assert (live.now.banner.text, bool(live.fault)) == ("what was in force", True)


@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir)], ids=["a folder", "a pipe"])
def test_what_is_no_file_changes_nothing(make: Callable[[Path], None], live: Live, write: Write) -> None:
    write(OTHERS)
    live.path.unlink()
    make(live.path)
    live.look()
    assert (live.now.banner.text, live.fault) == ("what was in force", "it is no file")
    live.path.rmdir() if live.path.is_dir() else live.path.unlink()


def test_a_fault_is_logged_once_for_each_version_of_the_file(
    live: Live, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("[maintenance", "[maintenance  # still"):
        write(text)
        for _ in range(5):
            live.look()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_a_mended_file_counts_again(live: Live, write: Write) -> None:
    write("[maintenance")
    write(ON)
    assert (live.now.maintenance.on, live.fault) == (True, "")


def test_a_process_that_starts_after_a_bad_edit_does_as_the_others(app: Flask, live: Live, write: Write) -> None:
    write(OTHERS)
    write("[banner")
    later: Live = create_app(app.extensions["settings"]).extensions["live_settings"]
    assert (later.now.banner.text, bool(later.fault)) == ("what was in force", True)


def test_a_bad_edit_changes_nothing_also_where_what_was_good_last_could_not_be_kept(live: Live, write: Write) -> None:
    write(OTHERS)
    kept = live.folder / "live-last-good.toml"
    older = kept.read_bytes()
    write(ON)
    kept.write_bytes(older)  # as if the disk had been full
    write("[banner")
    assert (live.now.maintenance.on, live.now.banner.text) == (True, "")


def test_a_worker_that_is_forked_after_a_bad_edit_does_as_the_others(
    app: Flask, live: Live, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a copy of its parent, which has read the file when the server started."""
    parent, seen = live.now, live._seen
    write(OTHERS)
    live.path.write_text("[banner")
    live.now, live._seen = parent, seen
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    live.look()
    assert (live.now.banner.text, bool(live.fault)) == ("what was in force", True)


def test_a_process_that_starts_after_a_bad_edit_of_no_file_has_the_defaults(
    app: Flask, live: Live, write: Write
) -> None:
    write(OTHERS)
    live.path.unlink()
    live.look()
    write("[banner")
    later: Live = create_app(app.extensions["settings"]).extensions["live_settings"]
    assert later.now == Settings()


def test_a_change_is_logged_with_what_it_changed(live: Live, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "groundwork.live_settings")
    write(f"{OTHERS}{ON}")
    write(f"{OTHERS}{ON}# a remark\n")
    write(OTHERS)
    assert [record.getMessage() for record in caplog.records] == [
        "live settings: banner.text=what was in force, maintenance.on=True",
        "live settings: maintenance.on=False",
    ]


def test_the_file_may_be_anywhere_and_a_relative_one_is_in_the_instance_folder(make_app: Callable[..., Flask]) -> None:
    app = make_app(LIVE_SETTINGS=Path("switches/now.toml"))
    assert app.extensions["live_settings"].path == Path(app.instance_path, "switches/now.toml")


# --- log levels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['"groundwork.some.part" = "debug"', "groundwork.some.part = 'DEBUG'"])
def test_a_logger_has_the_level_until_it_is_taken_away(text: str, write: Write) -> None:
    logger = logging.getLogger("groundwork.some.part")
    logger.setLevel(logging.ERROR)
    write(f"[log_levels]\n{text}\n")
    assert logger.level == logging.DEBUG
    write("[log_levels]\ngroundwork.some.part = 'INFO'\n")
    assert logger.level == logging.INFO
    write("")
    assert logger.level == logging.ERROR


def test_root_is_the_logger_of_all(write: Write) -> None:
    before = logging.getLogger().level
    write("[log_levels]\nroot = 'ERROR'\n")
    assert logging.getLogger().level == logging.ERROR
    write("")
    assert logging.getLogger().level == before


def test_a_fault_changes_no_level(write: Write) -> None:
    write("[log_levels]\ngroundwork.other = 'ERROR'\n")
    write("[log_levels]\ngroundwork.other = 'ERR'\n")
    assert logging.getLogger("groundwork.other").level == logging.ERROR


def test_all_who_ask_a_process_that_was_idle_get_what_is_in_force(
    live: Live, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is a copy of its parent, which knows the file of the moment when the server started."""
    write(OFF)
    live.path.write_text(ON)
    time.sleep(live_module.SETTLING)
    slow_parse = live_module.parse

    def parse(text: str) -> Settings:
        time.sleep(0.2)
        return slow_parse(text)

    monkeypatch.setattr(live_module, "parse", parse)
    live.next_look, found = 0, []

    def ask() -> None:
        live.look_if_due()
        found.append(live.now.maintenance.on)

    visitors = [threading.Thread(target=ask) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert found == [True] * 8
