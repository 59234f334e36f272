"""What a newcomer opens first is right: the README's paths exist, hooks and scripts run what they name."""

import os
import re
from pathlib import Path

import pytest

from config import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci/run"]


def test_the_readme_is_short_and_begins_with_two_commands() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    first_block = README.split("```sh\n", 1)[1].split("```", 1)[0]
    assert [line.split()[0] for line in first_block.splitlines()] == ["scripts/start.sh", "scripts/test.sh"]
    assert lines.index("![The home page after scripts/start.sh](docs/img/home.png)") < 25


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?:scripts|docs)/[\w./-]*\w", README))))
def test_what_the_readme_tells_to_run_or_read_exists(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_the_readmes_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_commit_hook_runs_the_same_command_as_people_do() -> None:
    (entry,) = re.findall(r"^\s+entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    assert entry == "scripts/test.sh --fast"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_run_and_has_posix_line_ends(script: Path) -> None:
    text = script.read_bytes()
    assert os.access(script, os.X_OK) is text.startswith(b"#!")  # the others are sourced
    assert text.startswith((b"#!", b"# shellcheck shell=bash\n"))
    assert b"\r" not in text
