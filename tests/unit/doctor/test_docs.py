"""docs/doctor.md is what the checks say, and each line that mends something can be typed here."""

import ast
import re
from pathlib import Path

import pytest
from flask import Flask

from app.platform.doctor import document, registry
from config import ROOT

DOCS = (ROOT / "docs/doctor.md").read_text(encoding="utf-8")
SOURCES = [*(ROOT / "app/platform/doctor").glob("*.py"), *(ROOT / "app").glob("**/checks.py")]


def test_the_page_of_docs_is_current(app: Flask) -> None:
    """If not: flask --app wsgi doctor --docs > docs/doctor.md"""
    checks = registry.load(app)
    assert DOCS.startswith(document.OPENING)
    missing = [name for name, check in checks.items() if document.section(check) not in DOCS]
    assert not missing
    documented = set(re.findall(r"^### (\S+)$", DOCS, re.MULTILINE))
    platform = {name for name, check in checks.items() if check.function.__module__.startswith("app.platform")}
    assert platform <= documented
    assert {name for name in documented - set(checks) if name.partition(".")[0] in document.AREAS} <= {
        "auth.default-users", "auth.hash-cost", "auth.session-ends",  # of what may have been deleted
        "jobs.worker", "jobs.parked",
    }  # fmt: skip


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_what_a_check_can_say_stands_in_its_own_function(file: Path) -> None:
    """There the page and tests/doctor_record.py look for it: in no helper, by no other name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    seen = [
        call.func
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        and any(isinstance(by, ast.Call) and ast.unparse(by.func) == "check" for by in function.decorator_list)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in {"fail", "warn"}:
            assert node in seen, f"line {node.lineno}"


def test_the_page_says_how_a_check_can_end(app: Flask) -> None:
    checks = registry.load(app)
    assert "It can be OK." not in DOCS
    assert "docker compose up --detach --force-recreate web worker" in document.section(checks["server.sandbox"])
    if found := checks.get("auth.session-ends"):  # a feature's, which may be deleted
        assert "It can be FAIL." in document.section(found)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_a_file_or_command_that_a_check_names_exists(file: Path, app: Flask) -> None:
    texts = [
        node.value for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    ]
    text = "\n".join(text for text in texts if isinstance(text, str))
    for path in re.findall(r"\b(?:deploy|scripts|docs)/[\w./-]*\w", text):
        assert (ROOT / path).exists() or "systemd" in path, path
    for path in re.findall(r"\bapp/[\w/]+\.py", text):
        assert (ROOT / path).exists() or not (ROOT / path).parent.exists(), path  # a feature may be deleted
    for group, name in re.findall(r"flask --app wsgi ([a-z-]+) ([a-z-]+)", text):
        commands = getattr(app.cli.commands.get(group), "commands", None)  # a feature's may be deleted
        is_gone = group == "settings" and "live_settings" not in app.extensions  # which adds to the platform's group
        assert commands is None or is_gone or name in commands, (group, name)
