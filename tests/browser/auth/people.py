"""Somebody who can log in on a served site."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.browser.conftest import ROOT

NAME, PASSWORD = "ada", "correct horse battery"


def add_admin(instance: Path) -> None:
    """NAME with PASSWORD, in the database of this instance folder."""
    environment = {**os.environ, "INSTANCE_PATH": str(instance), "DATABASE_URL": "sqlite:///app.db"}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create-admin", NAME]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, input=PASSWORD.encode())


def log_in(page: Any, site: str, wanted: str = "/") -> Any:
    """The page, on the address `wanted`."""
    page.goto(f"{site}/auth/login?next={wanted}")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(site + wanted)
    return page
