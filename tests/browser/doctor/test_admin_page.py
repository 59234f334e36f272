"""The last result of `flask doctor`, as an admin sees it: at two widths, in light and dark."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, assert_sound, served

people = pytest.importorskip("tests.browser.auth.people", reason="without auth there are no admins")
OpenPage = Callable[..., Any]
PAGE = "/admin/doctor/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("checklist")
    with served(folder, "wsgi") as address:
        people.add_admin(folder)
        environment = {**os.environ, "INSTANCE_PATH": str(folder), "DATABASE_URL": "sqlite:///app.db"}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor", "--fail-on", "never"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        yield address


def test_the_page_is_sound_and_shows_what_mends(open_page: OpenPage, site: str, window: dict[str, Any]) -> None:
    page = people.log_in(open_page(site, **window), site, PAGE)
    assert_sound(page, site)
    assert page.get_by_role("heading", level=1).inner_text() == "Checklist"
    assert page.get_by_text("TRUSTED_HOSTS=<name>").is_visible()
