"""The scripts for Windows, judged without Windows; tests/servers/windows/ runs the .bat files and the service."""

import re
import shutil
import subprocess

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from config import ROOT

POWERSHELL = (ROOT / "scripts/start.ps1").read_bytes()


def parse(source: bytes) -> Node:
    return Parser(Language(tree_sitter_powershell.language())).parse(source).root_node


def test_the_powershell_script_is_powershell() -> None:
    assert not parse(POWERSHELL).has_error
    assert parse(POWERSHELL.replace(b'"', b"", 1)).has_error, "this check must be able to fail"


def test_all_that_the_powershell_script_does_is_to_call_start_bat() -> None:
    """PowerShell comes with Windows only, so elsewhere nothing is left that would have to be tried."""
    statements = [line for line in POWERSHELL.decode().splitlines() if line and not line.startswith("#")]
    assert statements == ['& "$PSScriptRoot\\start.bat" @args', "exit $LASTEXITCODE"]


if shutil.which("powershell"):  # Windows: the pipeline's job for it

    @pytest.mark.parametrize(
        ("option", "exit_code", "said"), [("--help", 0, "--workers N"), ("--nonsense", 2, "--nonsense")]
    )
    def test_the_powershell_script_passes_on_its_options_and_the_exit_code(
        option: str, exit_code: int, said: str
    ) -> None:
        command = ["powershell", "-ExecutionPolicy", "Bypass", "-File", str(ROOT / "scripts/start.ps1"), option]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert completed.returncode == exit_code, completed.stderr
        assert said in completed.stdout + completed.stderr


@pytest.mark.parametrize("script", ["start.ps1", "start.bat", "test.bat"])
def test_lines_end_as_windows_expects(script: str) -> None:
    text = (ROOT / "scripts" / script).read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") > 3


@pytest.mark.parametrize("script", ["start.bat", "test.bat"])
def test_a_batch_file_asks_for_0_and_not_for_less_than_1(script: str) -> None:
    """A program that has crashed leaves a negative ERRORLEVEL; and wine's && does not ask at all."""
    commands = [line for line in (ROOT / "scripts" / script).read_text().splitlines() if not line.startswith("rem ")]
    assert not [line for line in commands if re.search(r"(?i)if (not )?errorlevel|&&|\|\|", line)]
