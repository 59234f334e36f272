"""The rules of the house (docs and DESIGN say why): who may import whom, and how long a file may get."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from config import ROOT

APP = ROOT / "app"
NOT_FEATURES = {"platform", "extras", "static", "templates"}
FEATURES = sorted(path.parent.name for path in APP.glob("*/__init__.py") if path.parent.name not in NOT_FEATURES)
EXTRAS = sorted(path.parent.name for path in APP.glob("extras/*/__init__.py"))


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(file): file for folder in (APP, ROOT / "serving") for file in sorted(folder.rglob("*.py"))}


def statements(node: ast.AST, only_at_import: bool) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if only_at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from statements(child, only_at_import)


def imports(module: str, only_at_import: bool = False) -> set[tuple[str, str]]:
    """(module, name) for each name of ours that `module` imports; the name is empty where it is a module."""
    found: set[tuple[str, str]] = set()
    for statement in statements(ast.parse(MODULES[module].read_text(encoding="utf-8")), only_at_import):
        if isinstance(statement, ast.Import):
            found |= {(alias.name, "") for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert not statement.level, f"{module}: imports are written in full, from the root"
            for alias in statement.names:
                inner = f"{statement.module}.{alias.name}"
                found.add((inner, "") if inner in MODULES else (statement.module or "", alias.name))
    return {(name, what) for name, what in found if name.partition(".")[0] in {"app", "serving"}}


def part(module: str) -> str:
    """What a module belongs to: app.platform, app.extras.jobs, app.pages, app.extensions, serving."""
    parts = module.split(".")
    if parts[0] == "serving":
        return "serving"
    return ".".join(parts[:3] if parts[1:2] == ["extras"] else parts[:2])


def lines(files: Iterable[Path]) -> int:
    """Those with something on them: room to breathe is free."""
    return sum(bool(line.strip()) for file in files for line in file.read_text(encoding="utf-8").splitlines())


def test_the_rules_have_something_to_look_at() -> None:
    assert "pages" in FEATURES
    assert ("app.pages.views", "blueprint") in imports("app.pages")
    assert ("app.extensions", "db") in imports("app.platform.database")


@pytest.mark.parametrize("module", [name for name in MODULES if name != "app"])
def test_a_module_imports_only_what_its_place_allows(module: str) -> None:
    own = part(module)
    for imported, name in imports(module):
        target = part(imported)
        if target in {own, "app.platform", "app.extensions", "app.fields"}:
            continue
        assert own not in {"app.platform", "app.extensions"}, f"{module} imports {imported}: platform knows no feature"
        assert not own.startswith("app.extras"), f"{module} imports {imported}: extras import platform only"
        assert "serving" not in {own, target}, f"{module} imports {imported}: a server and an application need no other"
        assert target != "app", f"{module} imports the factory"
        exported = imported == target and name  # a name that the other's __init__ gives
        assert exported or imported == f"{target}.models", f"{module} reaches into {imported}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: {name for name, _ in imports(module, only_at_import=True)} - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize(
    "file",
    [
        *MODULES.values(),
        *(ROOT / n for n in ("config.py", "config_extras.py", "config_types.py", "gunicorn.conf.py", "wsgi.py")),
    ],
)
def test_a_file_has_at_most_250_lines(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 250


def test_the_platform_has_at_most_2000_lines_without_the_doctor() -> None:
    platform = [file for name, file in MODULES.items() if name.startswith("app.platform") and ".doctor" not in name]
    assert lines(platform) <= 2000


@pytest.mark.parametrize("folder", [*FEATURES, *(f"extras/{extra}" for extra in EXTRAS)])
def test_a_feature_and_an_extra_stay_small(folder: str) -> None:
    assert lines((APP / folder).rglob("*.py")) <= 400


def test_no_module_has_a_name_that_says_nothing() -> None:
    said = {word for name in MODULES for word in name.split(".")[-1].split("_")}
    assert not said & {"util", "utils", "helper", "helpers", "common", "manager", "misc"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(("app.platform", "app.extras"))])
def test_a_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


def test_a_web_worker_does_not_carry_what_only_commands_need(tmp_path: Path) -> None:
    heavy = ("alembic", "redis", "huey", "gunicorn", "waitress", "pytest", "smtplib", "email.headerregistry")
    code = f"import sys, wsgi, serving.metrics_folder; print([name for name in {heavy} if name in sys.modules])"
    environment = {"INSTANCE_PATH": str(tmp_path), "LOG_FILE": str(tmp_path / "log"), "PATH": ""}
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
