"""The files are what GitHub, GitLab, Dependabot and Renovate accept, and ask for no more rights than they need."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import rendering
from tests.deploy.pipelines.runner import GITHUB, GITLAB, Pipeline, Workflow

WORKFLOWS = ("test", "deploy")
SCHEMAS = {
    f"{GITHUB}/test.yml": ["vendor.github-workflows"],
    f"{GITHUB}/deploy.yml": ["vendor.github-workflows"],
    ".github/dependabot.yml": ["vendor.dependabot"],
    "renovate.json": ["vendor.renovate"],
    GITLAB: ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


def tool(name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def files(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies, of which the trace of tests/deploy/rendering.py tells who has opened them."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name in SCHEMAS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
        rendering.remember(name, folder / name)
    return folder


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_is_what_its_schema_says(files: Path, name: str) -> None:
    checked = tool("check-jsonschema", "--builtin-schema", *SCHEMAS[name], files / name)
    assert checked.returncode == 0, checked.stdout


def test_a_job_with_a_name_that_gitlab_keeps_for_itself_would_be_found(files: Path, tmp_path: Path) -> None:
    bad = tmp_path / GITLAB
    bad.write_text((files / GITLAB).read_text().replace("\ncontainer:\n", "\nimage:\n"))
    assert tool("check-jsonschema", "--builtin-schema", *SCHEMAS[GITLAB], bad).returncode == 1


def test_the_linter_for_what_an_attacker_would_use_finds_nothing(files: Path) -> None:
    linted = tool("zizmor", "--offline", "--no-progress", files)
    assert linted.returncode == 0, linted.stdout
    workflow = files / GITHUB / "test.yml"
    tagged = re.sub(r"@[0-9a-f]{40} # v6\S+", "@v6", text := workflow.read_text())
    assert tagged != text
    (files / "tagged.yml").write_text(tagged)
    assert "unpinned-uses" in tool("zizmor", "--offline", "--no-progress", files / "tagged.yml").stdout


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_and_one_at_a_time_runs(root: Path, name: str) -> None:
    workflow: dict[str, Any] = yaml.safe_load((root / GITHUB / f"{name}.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    in_turn = workflow if name == "test" else workflow["jobs"]["server"]
    assert in_turn["concurrency"]["cancel-in-progress"] is (name == "test")
    rights = {job: one["permissions"] for job, one in workflow["jobs"].items() if "permissions" in one}
    assert rights == ({} if name == "test" else {"image": {"contents": "read", "packages": "write"}})
    assert all("timeout-minutes" in one or "uses" in one for one in workflow["jobs"].values())


def test_both_pipelines_call_the_same_scripts_and_have_no_logic_of_their_own(root: Path) -> None:
    github = [step["run"] for name in WORKFLOWS for job in Workflow(root, name).jobs.values()
              for step in job.get("steps", []) if "run" in step]  # fmt: skip
    pipeline = Pipeline(root)
    names = ("quick", "windows", "everything", "audit", "container", "publish", "deploy", "rollback")
    gitlab = [line for name in names for line in pipeline.job(name)["script"]]
    called = [set(re.findall(r"scripts[/\\][\w.]+", "\n".join(lines))) for lines in (github, gitlab)]
    assert called[0] == called[1]
    assert all((root / name.replace("\\", "/")).is_file() for name in called[0])
    others = [line for line in [*github, *gitlab] if not re.search(r"scripts[/\\]", line)]
    assert all(re.search(r"^\.venv/bin/coverage report|\| docker login", line) for line in others)
