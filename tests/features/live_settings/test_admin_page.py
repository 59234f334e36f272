"""/admin/live-settings/: an admin switches what can be switched, and reads why when that can not be done here."""

import re

import pytest
from flask import Flask

from app.extras.live_settings import edit
from app.extras.live_settings.live import Live
from app.platform import flags
from tests.features.conftest import Visitor
from tests.features.live_settings.conftest import Write

PAGE = "/admin/live-settings/"


def test_it_exists_for_admins_only_and_is_in_their_navigation(app: Flask, admin: Visitor) -> None:
    assert (app.test_client().get(PAGE).status_code, admin.get(PAGE).status_code) == (404, 200)
    assert ("admin_live_settings.index", "Live settings") in app.extensions["admin_pages"]


def test_it_names_the_file(admin: Visitor, live: Live) -> None:
    assert f"<code>{live.path}</code>" in admin.get(PAGE).text


def test_maintenance_begins_and_ends(admin: Visitor, visitor: Visitor, live: Live) -> None:
    fields = {"switch": "maintenance.on", "maintenance.text": "Back soon.\r\nReally.", "maintenance.retry_after": "60"}
    answer = admin.send(PAGE, **fields, **{"maintenance.on": "true"})
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert "Saved" in admin.get(PAGE).text
    assert (live.now.maintenance.text, live.now.maintenance.retry_after) == ("Back soon.\nReally.", 60)
    assert visitor.get("/").status_code == 503
    admin.send(PAGE, **fields)
    assert visitor.get("/").status_code == 200


def test_the_log_says_who_has_changed_what(app: Flask, admin: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "groundwork.live_settings")
    app.extensions["who_asks"] = lambda: "grace"
    admin.send(PAGE, switch="maintenance.on", **{"maintenance.on": "true"})
    assert "grace changes maintenance.on" in caplog.messages


def test_a_text_that_is_emptied_has_its_default(admin: Visitor, live: Live) -> None:
    admin.send(PAGE, **{"banner.text": "hello", "banner.level": "warning"})
    assert live.now.banner.text == "hello"
    admin.send(PAGE, **{"banner.text": " ", "banner.level": "info"})
    assert live.now.banner.text == ""
    assert 'text = ""' not in live.path.read_text()


def test_flags_are_those_that_features_ask_for_and_those_of_the_file(
    admin: Visitor, live: Live, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(flags.FLAGS, "greeting", "Pages greet.")
    write("[flags]\nold = true\n")
    page = admin.get(PAGE).text
    assert "Pages greet." in page
    assert re.search(r'name="flags.old" value="true" checked', page)
    assert "No feature of this release asks for it." in page
    admin.send(PAGE, **{"switch": ["flags.greeting", "flags.old"], "flags.greeting": "true"})
    assert live.now.flags == {"greeting": True, "old": False}


def test_a_level_is_set_and_taken_away(admin: Visitor, live: Live) -> None:
    admin.send(PAGE, logger=" groundwork.loud ", level="DEBUG")
    assert live.now.log_levels == {"groundwork.loud": "DEBUG"}
    assert "<code>groundwork.loud</code> DEBUG" in admin.get(PAGE).text
    admin.send(PAGE, logger="groundwork.loud")
    assert live.now.log_levels == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"maintenance.retry_after": "soon"}, "maintenance.retry_after must be a valid integer"),
        ({"banner.level": "loud"}, "banner.level must be"),
        ({"banner.text": "x" * 301}, "banner.text must have at most 300 characters"),
        ({"logger": "x", "level": "LOUD"}, "log_levels.x must be"),
        ({"logger": " ", "level": "INFO"}, "log_levels"),
        ({"no.such": "1"}, "there is no setting no. There are maintenance.on, "),
        ({"switch": "maintenance.such"}, "there is no setting maintenance.such. "),
        ({"switch": "flags.X"}, "flags.X must match pattern"),
        ({"no.such": ""}, "there is no setting no"),
    ],
)
def test_what_can_not_be_changes_nothing(fields: dict[str, str], said: str, admin: Visitor, live: Live) -> None:
    answer = admin.send(PAGE, **fields)
    assert (answer.status_code, said in answer.text) == (422, True), answer.text
    assert not live.path.exists()


def test_a_page_of_another_site_changes_nothing(admin: Visitor, live: Live) -> None:
    fields = {"switch": "maintenance.on", "maintenance.on": "true"}
    assert admin.client.post(PAGE, data=fields).status_code == 400
    assert not live.path.exists()


def test_a_fault_is_shown_with_its_line_and_what_is_in_force(admin: Visitor, write: Write) -> None:
    write('[banner]\ntext = "good"\n')
    write('[banner]\ntext = 3\n\n[flags]\nOld = "x"\n')
    page = admin.get(PAGE).text
    assert "line 2: banner.text must be a valid string" in page
    assert "line 5: flags.Old" in page
    assert "<dd>good</dd>" in page
    assert "<button>Save" not in page


def test_a_file_that_can_only_be_read_is_shown_without_forms(
    admin: Visitor, write: Write, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    write('[banner]\ntext = "from the ConfigMap"\n')
    page = admin.get(PAGE)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    monkeypatch.setattr(edit.os, "access", lambda path, mode: False)
    page = admin.get(PAGE)
    assert "It can only be read here." in page.text
    assert "<dd>from the ConfigMap</dd>" in page.text
    assert "<button>Save" not in page.text
    answer = admin.client.post(PAGE, data={"csrf_token": token[1], "banner.text": "mine"})
    assert (answer.status_code, "can not be written from here" in answer.text) == (422, True)


def test_what_another_process_has_changed_is_shown_at_once(admin: Visitor, live: Live) -> None:
    admin.get(PAGE)
    live.path.write_text('[banner]\ntext = "a moment ago"\n')
    assert "a moment ago</textarea>" in admin.get(PAGE).text
