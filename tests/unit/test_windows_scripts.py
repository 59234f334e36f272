"""The scripts for Windows, judged without Windows; tests/servers/test_windows.py runs the .bat for real."""

import re

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Parser

from config import ROOT

POWERSHELL = (ROOT / "scripts/start.ps1").read_bytes()
BATCH = (ROOT / "scripts/start.bat").read_bytes()


def has_errors(source: bytes) -> bool:
    return Parser(Language(tree_sitter_powershell.language())).parse(source).root_node.has_error


def test_the_powershell_script_is_powershell() -> None:
    assert not has_errors(POWERSHELL)
    assert has_errors(POWERSHELL.replace(b"{", b"", 1)), "this check must be able to fail"


@pytest.mark.parametrize("script", [POWERSHELL, BATCH], ids=["start.ps1", "start.bat"])
def test_lines_end_as_windows_expects(script: bytes) -> None:
    assert script.count(b"\r\n") == script.count(b"\n") > 20


@pytest.mark.parametrize("script", [POWERSHELL, BATCH], ids=["start.ps1", "start.bat"])
def test_both_take_the_same_options_and_do_the_same_steps(script: bytes) -> None:
    text = script.decode()
    for option in ["-p", "--port", "-w", "--workers", "-b", "--bind", "-h", "--help"]:
        assert re.search(rf'["\']{re.escape(option)}["\']', text), option
    steps = ["-m venv", "--require-hashes", "-m flask --app wsgi prepare", "wsgi.py --prepared"]
    positions = [text.replace('"', "").replace("'", "").replace(",", "").find(step) for step in steps]
    assert -1 not in positions, dict(zip(steps, positions, strict=True))
    assert positions == sorted(positions)
