"""scripts/pip_index.py: a company's package index, as its people set it for pip, counts for uv too."""

import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from config import ROOT

SCRIPT = ROOT / "scripts/pip_index.py"


def exports(home: Path, **environment: str) -> dict[str, str]:
    """The variables that the printed lines would set, by name."""
    output = subprocess.run(
        [sys.executable, "-S", str(SCRIPT)],
        env={"HOME": str(home), "SYSTEMROOT": os.environ.get("SYSTEMROOT", ""), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all(line.startswith("export ") for line in output.splitlines())
    return dict(word.split("=", 1) for line in output.splitlines() for word in shlex.split(line)[1:])


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_without_an_index_only_the_strategy_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT))
    for name in script["UV_NAMES"]:
        monkeypatch.delenv(f"PIP_{name.replace('-', '_').upper()}", raising=False)
    monkeypatch.setitem(script["pip_settings"].__globals__, "configuration_files", list)
    script["main"]()
    assert capsys.readouterr().out == "export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}\n"


@pytest.mark.parametrize("place", [".pip/pip.conf", ".config/pip/pip.conf", "named.conf"])
def test_an_index_is_found_in_pips_own_files(place: str, tmp_path: Path) -> None:
    file = written(tmp_path / place, "[global]\nindex-url = https://pypi.example/simple\n")
    named = {"PIP_CONFIG_FILE": str(file)} if place == "named.conf" else {}
    assert exports(tmp_path, **named)["UV_DEFAULT_INDEX"] == "https://pypi.example/simple"


def test_a_later_file_wins_and_the_environment_wins_over_all(tmp_path: Path) -> None:
    written(tmp_path / ".pip/pip.conf", "[global]\nindex_url = https://old.example\ncert = /ca.pem\n")
    written(tmp_path / "xdg/pip/pip.conf", "[install]\nindex-url = https://new.example/100%/\n")
    found = exports(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert (found["UV_DEFAULT_INDEX"], found["SSL_CERT_FILE"]) == ("https://new.example/100%/", "/ca.pem")
    found = exports(tmp_path, PIP_INDEX_URL="https://user:p$w@env.example/simple")
    assert found["UV_DEFAULT_INDEX"] == "https://user:p$w@env.example/simple"


def test_several_values_are_given_as_uv_reads_them(tmp_path: Path) -> None:
    text = "[global]\nextra-index-url =\n  https://a.example\n  https://b.example\nfind-links = /wheels /more\n"
    written(tmp_path / ".pip/pip.conf", text + "trusted-host = a.example b.example\n")
    found = exports(tmp_path)
    assert found["UV_INDEX"] == "https://a.example https://b.example"
    assert found["UV_FIND_LINKS"] == "/wheels,/more"
    assert found["UV_INSECURE_HOST"] == "a.example b.example"


def test_what_was_set_for_uv_itself_stays(tmp_path: Path) -> None:
    found = exports(tmp_path, PIP_INDEX_URL="https://pip.example", UV_DEFAULT_INDEX="https://uv.example")
    assert "UV_DEFAULT_INDEX" not in found
