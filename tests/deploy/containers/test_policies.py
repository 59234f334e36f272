"""What linters and a policy scanner find in the files for containers: nothing, or it is justified beside the line."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import ROOT
from tests.deploy.containers.engine import run
from tests.deploy.containers.fixtures import Scanner

IMAGES = ("Dockerfile", "deploy/compose/nginx.Dockerfile")


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(str(Path(sys.executable).with_name(name)), *arguments, check=False, cwd=ROOT)


@pytest.mark.parametrize("file", IMAGES)
def test_hadolint_finds_nothing(file: str) -> None:
    done = tool("hadolint", file)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN cd /tmp\n")
    assert "DL3003" in tool("hadolint", str(bad)).stdout


def test_compose_yaml_is_what_its_schema_says(tmp_path: Path) -> None:
    schema = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    done = tool(*schema, "compose.yaml", "compose.https.yaml")
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "compose.yaml"
    bad.write_text((ROOT / "compose.yaml").read_text(encoding="utf-8").replace("read_only:", "readonly:"))
    assert tool(*schema, str(bad)).returncode == 1


@pytest.mark.timeout(300)
def test_the_policy_scanner_finds_nothing(checkov: Scanner) -> None:
    found = checkov("dockerfile", *(ROOT / name for name in IMAGES))
    assert found["summary"]["passed"] > 50
    assert [(one["check_id"], one["file_path"]) for one in found["results"]["failed_checks"]] == []
    assert found["summary"]["skipped"] == 0
