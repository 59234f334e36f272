"""What the jobs of both pipelines run, run: the suite of a copy of this project with one test of each kind."""

import re
from pathlib import Path

import pytest

from tests.deploy.pipelines.runner import Machine, Pipeline, Workflow

PARTS = ["ruff check", "ruff format", "mypy", "shellcheck", "unit and feature tests"]


def steps_done(output: str) -> list[str]:
    return re.findall(r"^== (.*): \d+ s$", output, re.MULTILINE)


def test_the_quick_job_runs_linters_types_and_tests(root: Path, machine: Machine) -> None:
    done = Workflow(root, "test").run("quick", machine, matrix__python="3.13")
    assert done.returncode == 0, done.stdout
    assert steps_done(done.stdout) == PARTS


def test_a_test_that_fails_fails_the_job(root: Path, machine: Machine) -> None:
    done = Pipeline(root).run("quick", machine, ref="red")
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def test_the_job_for_everything_shows_the_coverage(root: Path, machine: Machine) -> None:
    done = Workflow(root, "test").run("everything", machine)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\| +\*\*TOTAL\*\* +\|.*%", (machine.workspace.parent / "summary.md").read_text())


def test_gitlab_finds_the_coverage_in_what_the_job_says(root: Path, machine: Machine) -> None:
    pipeline = Pipeline(root)
    done = pipeline.run("everything", machine)
    assert done.returncode == 0, done.stdout
    assert "deploy tests" in steps_done(done.stdout)
    pattern = pipeline.job("everything")["coverage"].strip("/")
    assert [found for line in done.stdout.splitlines() if (found := re.search(pattern, line))], done.stdout[-2000:]


@pytest.mark.parametrize("what", ["", "deploy", "rollback"])
@pytest.mark.parametrize("tested", ["success", "failure", "skipped"])
def test_only_what_was_tested_is_deployed_and_a_rollback_waits_for_no_test(root: Path, what: str, tested: str) -> None:
    deploy = Workflow(root, "deploy")
    values = {"inputs.what": what, "needs.test.result": tested}
    assert deploy.is_wanted("test", values) is (what != "rollback")
    assert deploy.is_wanted("image", values) is (tested == "success")
    assert deploy.is_wanted("server", values) is (tested == "success" or what == "rollback")
