"""Runs the jobs of .github/workflows and .gitlab-ci.yml here, as far as they are ours: what a step runs is run.

What belongs to the machine that GitHub or GitLab gives (a checkout, a Python, packages of its system) is given by the
test. A step that is not known here is an error.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.servers import environment

Done = subprocess.CompletedProcess[str]
GITHUB, GITLAB = ".github/workflows", ".gitlab-ci.yml"


class Machine:
    """Where a job runs: `origin` is the repository, `stubs` a folder with programs that come first."""

    def __init__(self, folder: Path, origin: Path) -> None:
        self.workspace, self.stubs = folder / "workspace", folder / "stubs"
        self._origin, self._prepare = origin, list[Callable[[Path], object]]()
        self.stubs.mkdir(parents=True)
        (folder / "home").mkdir()
        self.environment = environment(folder, HOME=folder / "home", GIT_CONFIG_GLOBAL=os.devnull, CI="true")
        self.environment["PATH"] = f"{self.stubs}:{self.environment['PATH']}"
        del self.environment["INSTANCE_PATH"], self.environment["JOBS"]

    def stub(self, name: str, text: str) -> None:
        (self.stubs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.stubs / name).chmod(0o755)

    def before_each_run(self, prepare: Callable[[Path], object]) -> None:
        """What is done to a checkout."""
        self._prepare.append(prepare)

    def check_out(self, ref: str = "main") -> None:
        """As shallow as theirs."""
        subprocess.run(["rm", "-rf", str(self.workspace)], check=True)
        clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={ref}", f"file://{self._origin}", self.workspace]
        subprocess.run(clone, check=True, env=self.environment, capture_output=True, timeout=60)
        for prepare in self._prepare:
            prepare(self.workspace)

    def run(self, script: str, variables: dict[str, str], pipefail: bool = False) -> Done:
        command = ["bash", "--noprofile", "--norc", *(["-o", "pipefail"] if pipefail else []), "-ec", script]
        return subprocess.run(
            command, cwd=self.workspace, env=self.environment | variables, text=True, timeout=110, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


class Workflow:
    """One of GitHub's. `values` are what expressions name: matrix.python, vars.BASE, inputs.what …"""

    def __init__(self, root: Path, name: str) -> None:
        self.jobs: dict[str, Any] = yaml.safe_load((root / GITHUB / f"{name}.yml").read_text())["jobs"]

    def is_wanted(self, job: str, values: dict[str, str]) -> bool:
        """What the job's `if` says; without one, whether the jobs that it needs have succeeded."""
        condition = self.jobs[job].get("if")
        if condition is None:
            return all(values.get(f"needs.{name}.result") == "success" for name in _listed(self.jobs[job].get("needs")))
        return bool(evaluate(condition.removeprefix("${{").removesuffix("}}"), values))

    def run(self, job: str, machine: Machine, ref: str = "main", **values: str) -> Done:
        """All steps, until one fails; the answer of the last that was run."""
        named = {name.replace("__", "."): value for name, value in values.items()}
        done: Done | None = None
        for step in self.jobs[job]["steps"]:
            variables = {name: fill_in(str(value), named) for name, value in step.get("env", {}).items()}
            action, _, commit = step.get("uses", "").partition("@")
            if action:
                assert re.fullmatch(r"[0-9a-f]{40}", commit), f"{action} may be another one tomorrow"
            if action == "actions/checkout":
                assert step["with"]["persist-credentials"] is False
                machine.check_out(ref)
            elif action == "actions/setup-python":
                machine.stub("python", f'exec {sys.executable} "$@"')
            else:
                done = machine.run(fill_in(step["run"], named), variables | self._files(machine))
                if done.returncode:
                    return done
        assert done
        return done

    @staticmethod
    def _files(machine: Machine) -> dict[str, str]:
        summary = str(machine.workspace.parent / "summary.md")
        return {"GITHUB_STEP_SUMMARY": summary, "GITHUB_REPOSITORY": "Ada/Shop", "GITHUB_ACTOR": "ada"}


class Pipeline:
    """GitLab's."""

    def __init__(self, root: Path) -> None:
        self._all: dict[str, Any] = yaml.safe_load((root / GITLAB).read_text())

    def job(self, name: str) -> dict[str, Any]:
        own: dict[str, Any] = self._all[name]
        return (self.job(own["extends"]) if "extends" in own else {}) | own

    def run(self, name: str, machine: Machine, ref: str = "main", **variables: str) -> Done:
        machine.check_out(ref)
        job = self.job(name)
        return machine.run("\n".join([*job.get("before_script", []), *job["script"]]), variables, pipefail=True)


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def fill_in(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(evaluate(found[1], values) or ""), text)


def evaluate(expression: str, values: dict[str, str]) -> Any:
    """GitHub's operators are Python's, under other names; what is not set is nothing."""
    parts = re.findall(r"'[^']*'|[\w.]+\(\)|[\w.-]+|&&|\|\||==|!=|!|\(|\)", expression)
    words = {"&&": "and", "||": "or", "!": "not", "cancelled()": "False", "==": "==", "!=": "!=", "(": "(", ")": ")"}
    python = [words.get(part) or (part if part.startswith("'") else repr(values.get(part, ""))) for part in parts]
    return eval(" ".join(python), {"__builtins__": {}})  # noqa: S307 - of this repository's own files
