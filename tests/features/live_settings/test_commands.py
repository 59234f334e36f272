"""`flask settings list|get|set|unset|check`, as an operator types them."""

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask

from app.extras.live_settings.live import Live
from app.platform import flags
from tests.features.live_settings.conftest import Write

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(flags, "FLAGS", {"new-search": "…"})
    monkeypatch.setattr("app.extras.live_settings.commands.FLAGS", flags.FLAGS)
    return lambda *arguments: app.test_cli_runner().invoke(args=["settings", *arguments])


@pytest.mark.parametrize(
    ("name", "typed", "shown", "line"),
    [
        ("maintenance.on", "true", "true", "on = true"),
        ("maintenance.on", "on", "true", "on = true"),
        ("maintenance.on", "no", "false", "on = false"),
        ("maintenance.retry_after", "60", "60", "retry_after = 60"),
        ("maintenance.text", "Back at 5.", "Back at 5.", 'text = "Back at 5."'),
        ("banner.text", "3", "3", 'text = "3"'),
        ("banner.level", "warning", "warning", 'level = "warning"'),
        ("flags.new-search", "yes", "true", "new-search = true"),
        ("log_levels.sqlalchemy.engine", "debug", "DEBUG", '"sqlalchemy.engine" = "DEBUG"'),
        ("log_levels.root", "ERROR", "ERROR", 'root = "ERROR"'),
    ],
)
def test_what_is_set_is_in_the_file_and_can_be_asked_for(
    name: str, typed: str, shown: str, line: str, run: Run, live: Live
) -> None:
    answer = run("set", name, typed)
    assert (answer.exit_code, answer.output.splitlines()[-1].partition(",")[0]) == (0, f"{name} = {shown}")
    assert line in live.path.read_text().splitlines()
    assert run("get", name).output == f"{shown}\n"


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("maintenance.on", "perhaps", "maintenance.on must be a valid boolean"),
        ("maintenance.retry_after", "soon", "maintenance.retry_after must be a valid integer"),
        ("maintenance.retry_after", "0", "must be greater than or equal to 1"),
        ("banner.level", "loud", "banner.level must be 'info' or 'warning'"),
        ("log_levels.x", "LOUD", "log_levels.x must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("log_levels", "INFO", "log_levels"),
        ("flags", "true", "flags"),
        ("flags.New", "true", "flags.New must match pattern"),
        ("maintenance", "true", "there is no setting maintenance."),
        ("maintenance.off", "true", "there is no setting maintenance.off. There are maintenance.on, "),
        ("PORT", "80", "there is no setting PORT. There are maintenance.on, "),
    ],
)
def test_what_can_not_be_set_is_explained(name: str, typed: str, said: str, run: Run, live: Live) -> None:
    answer = run("set", name, typed)
    assert (answer.exit_code, said in answer.output) == (1, True), answer.output
    assert not live.path.exists()


def test_all_are_listed_with_what_is_only_a_default(run: Run, write: Write) -> None:
    write("[maintenance]\non = true\n[log_levels]\na.b = 'INFO'\n")
    lines = [line.split() for line in run("list").output.splitlines()]
    assert ["maintenance.on", "true"] in lines
    assert ["log_levels.a.b", "INFO"] in lines
    assert ["flags.new-search", "false", "(default)"] in lines
    assert ["maintenance.retry_after", "300", "(default)"] in lines
    assert run("get").output == run("list").output


def test_what_is_taken_away_has_its_default(run: Run, write: Write, live: Live) -> None:
    write("[maintenance]\nretry_after = 60\n[log_levels]\na.b = 'INFO'\n")
    assert run("unset", "maintenance.retry_after").output.startswith("maintenance.retry_after = 300,")
    assert run("unset", "log_levels.a.b").output.startswith("log_levels.a.b = (not set),")
    assert live.now.by_name().get("log_levels.a.b") is None


@pytest.mark.parametrize("command", ["get", "unset"])
def test_what_is_not_set_is_said(command: str, run: Run) -> None:
    answer = run(command, "log_levels.nobody")
    assert (answer.exit_code, "log_levels.nobody is not set" in answer.output) == (1, True)


def test_a_flag_that_no_feature_asks_for_is_set_with_a_note(run: Run) -> None:
    answer = run("set", "flags.new-serach", "true")
    assert (answer.exit_code, "no feature of this release asks for it" in answer.output) == (0, True)


def test_a_good_file_is_good(run: Run, write: Write, live: Live) -> None:
    assert (run("check").exit_code, "does not exist" in run("check").output) == (0, True)
    write("[flags]\nnew-search = true\n")
    assert (run("check").exit_code, run("check").output) == (0, f"{live.path}: good\n")


def test_a_fault_is_found_with_its_line(run: Run, write: Write, live: Live) -> None:
    write("[maintenance]\non = 1\n\n[banner]\ncolour = 'red'\n")
    answer = run("check")
    assert answer.exit_code == 2
    assert f"{live.path}: line 2: maintenance.on must be a valid boolean" in answer.output
    assert f"{live.path}: line 5: there is no setting banner.colour." in answer.output


def test_a_misspelt_flag_is_a_warning(run: Run, write: Write) -> None:
    write("[flags]\nnew-serach = true\n")
    answer = run("check")
    assert (answer.exit_code, "new-serach" in answer.output) == (1, True)


def test_the_settings_of_env_are_still_shown(run: Run) -> None:
    assert "TRUSTED_HOSTS" in run("show").output
