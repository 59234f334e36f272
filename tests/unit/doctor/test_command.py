"""`flask doctor`: what it says, how it ends, what it keeps, and that no secret leaves it."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from app.platform.doctor import examination, registry, remedies
from app.platform.doctor.capacity import Capacity, advice
from app.platform.doctor.registry import Check, Deployment, Finding, check, fail, ok, skip, warn
from benchmarks.servers import ROOT, environment, flask

HUNTER = "hunter2-hunter2"


def checks(*findings: Finding) -> list[Check]:
    return [
        Check(f"made.up{number}", "Is it so?", "It matters.", lambda _, finding=finding: finding, False, False)
        for number, finding in enumerate(findings)
    ]


def results(app: Flask, *findings: Finding) -> list[examination.Result]:
    with app.app_context():
        return examination.examine(Deployment(app.extensions["settings"]), checks(*findings))


@pytest.mark.parametrize(
    ("findings", "by_warn", "by_fail"),
    [
        ((ok("a"), skip("b")), 0, 0),
        ((ok("a"), warn("b", "c")), 1, 0),
        ((warn("a", "b"), fail("c", "d")), 2, 2),
        ((), 0, 0),
    ],
)
def test_the_exit_code_says_the_worst(findings: tuple[Finding, ...], by_warn: int, by_fail: int, app: Flask) -> None:
    found = results(app, *findings)
    assert [examination.exit_code(found, level) for level in ("warn", "fail", "never")] == [by_warn, by_fail, 0]


def test_a_check_that_raises_has_seen_nothing(app: Flask) -> None:
    def broken(_: Deployment) -> Finding:
        raise RuntimeError(f"password={HUNTER}")

    with app.app_context():
        made = Check("made.up", "Is it so?", "It matters.", broken, False, False)
        (result,) = examination.examine(Deployment(app.extensions["settings"]), [made])
    assert result.finding.status == "SKIP"
    assert "RuntimeError" in result.finding.seen
    assert HUNTER not in result.finding.seen


def test_one_check_that_raises_stops_no_other(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="sqlite:////nowhere/at/all/app.db")
    run = app.test_cli_runner().invoke(args=["doctor", "--json"])
    found = {each["id"]: each["status"] for each in json.loads(run.stdout)["findings"]}
    assert found["db.answers"] == "FAIL"
    assert (
        found["db.migrations"] == found["auth.default-users" if "auth.default-users" in found else "db.drift"] == "SKIP"
    )
    assert found["cache.works"] == "OK"
    assert run.exit_code == 2


SECRETS = {
    "SECRET_KEY": f"{HUNTER}-1-changeme", "SECRET_KEY_FALLBACKS": (f"{HUNTER}-2",), "METRICS_TOKEN": f"{HUNTER}-3",
    "DATABASE_URL": f"postgresql+psycopg://me:{HUNTER}-4@127.0.0.1:1/app", "REDIS_URL": f"redis://:{HUNTER}-5@127.0.0.1:1/0",
    "MAIL_HOST": "127.0.0.1", "MAIL_PORT": 1, "MAIL_USERNAME": "me", "MAIL_PASSWORD": f"{HUNTER}-6",
    "MAIL_FROM": "a@b.example", "MAIL_TLS": "off", "SENTRY_DSN": f"https://{HUNTER}-7@sentry.example/1",
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {HUNTER}-8",
}  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--json"], ["--quiet"], ["--capacity"]])
def test_no_secret_is_printed_or_kept(options: list[str], make_app: Callable[..., Flask]) -> None:
    app = make_app(**SECRETS)

    @check("made.telltale", why="It tells all.")
    def telltale(deployment: Deployment) -> Finding:
        """Does it tell?"""
        settings = deployment.settings
        told = [str(app.secret_key), settings.DATABASE_URL, str(settings.REDIS_URL)]
        told += [value.get_secret_value() for _, value in settings if hasattr(value, "get_secret_value")]
        told += [value.get_secret_value() for value in settings.SECRET_KEY_FALLBACKS]
        return fail(" ".join(told), "\n".join(told))

    try:
        run = app.test_cli_runner().invoke(args=["doctor", *options])
    finally:
        registry.CHECKS.pop("made.telltale")
    kept = app.extensions["settings"].INSTANCE_PATH / "doctor.json"
    everything = run.output + run.stderr + (kept.read_text() if kept.exists() else "")
    assert "hunter2" not in everything
    assert ("***" in run.output) == (options != ["--capacity"])


def test_only_and_skip_take_ids_and_areas(app: Flask) -> None:
    def ids(*options: str) -> set[str]:
        run = app.test_cli_runner().invoke(args=["doctor", "--json", *options])
        return {each["id"] for each in json.loads(run.stdout)["findings"]}

    assert ids("--only", "db.heads") == {"db.heads"}
    assert ids("--only", "db.heads,debug.off") == {"db.heads", "debug.off"}
    databases = ids("--only", "db")
    assert databases > {"db.heads"}
    assert {name.partition(".")[0] for name in databases} == {"db"}
    assert ids("--only", "db", "--skip", "db.heads,db.drift") == databases - {"db.heads", "db.drift"}
    wrong = app.test_cli_runner().invoke(args=["doctor", "--only", "db.head"])
    assert (wrong.exit_code, "There is no check db.head" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--only db --skip db", "Nothing is left to look at."),
        ("--only live", "They ask the running site: --url https://www.example.com"),
        ("--only live.tls,live.cors", "They ask the running site"),
        ("--only live --url https://[::1", "--url takes"),
    ],
)
def test_to_look_at_nothing_is_no_success(options: str, said: str, app: Flask) -> None:
    run = app.test_cli_runner().invoke(args=["doctor", *options.split()])
    assert (run.exit_code, said in run.stderr) == (2, True), run.output


def test_to_leave_out_what_is_not_there_is_told_and_no_error(app: Flask) -> None:
    """scripts/deploy.sh leaves out checks of extras, which may have been deleted."""
    run = app.test_cli_runner().invoke(args=["doctor", "--only", "db.heads", "--skip", "jobs.gone,db.drift"])
    assert run.exit_code == 0, run.output
    assert "Nothing to leave out: there is no check jobs.gone." in run.stderr


def test_where_a_setting_goes_is_said_for_a_server_and_for_a_container(
    app: Flask, root: Path, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = Deployment(app.extensions["settings"], root=root, machine=machine, environ={})
    for in_container, where in ((False, "in .env, then scripts/reload.sh"), (True, "as a variable of the container")):
        found = results(app, warn("seen", "THREADS=8"))
        if in_container:
            (machine / ".dockerenv").touch()
        examination.print_results(found, colour=False, quiet=True, set_where=remedies.settings_place(deployment))
        assert f"fix: THREADS=8  ({where}" in capsys.readouterr().out


def test_a_finding_says_what_was_seen_why_it_matters_and_what_mends_it(make_app: Callable[..., Flask]) -> None:
    app = make_app(LOG_LEVEL="DEBUG")
    said = app.test_cli_runner().invoke(args=["doctor", "--only", "log.level"]).stdout
    assert re.search(r"^WARN +log\.level +LOG_LEVEL is DEBUG\.$", said, re.MULTILINE)
    for line in (" why: At DEBUG", " fix: LOG_LEVEL=INFO", " see: docs/doctor.md#loglevel", "0 failed, 1 warnings"):
        assert line in said


def test_colours_are_for_terminals_and_no_color_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert examination.wants_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not examination.wants_colour()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert not examination.wants_colour()


def test_a_text_with_colours_is_the_same_text(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(app, warn("seen", "fix"), fail("seen", "fix"), ok("seen"), skip("seen"))
    examination.print_results(found, colour=False, quiet=False)
    plain = capsys.readouterr().out
    examination.print_results(found, colour=True, quiet=False)
    coloured = capsys.readouterr().out
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured


def test_quiet_says_only_what_is_to_be_done(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    examination.print_results(results(app, warn("late", "fix"), ok("fine"), skip("unseen")), colour=False, quiet=True)
    said = capsys.readouterr().out
    assert ("late" in said, "fine" in said, "unseen" in said) == (True, False, False)
    assert said.splitlines()[-1].startswith("0 failed, 1 warnings, 1 good, 1 not looked at")


def test_the_last_whole_result_is_kept_for_its_owner_only(app: Flask) -> None:
    kept = app.extensions["settings"].INSTANCE_PATH / "doctor.json"
    app.test_cli_runner().invoke(args=["doctor", "--only", "db"])
    assert not kept.exists()  # a part is no result
    app.test_cli_runner().invoke(args=["doctor"])
    content = json.loads(kept.read_text())
    assert content["summary"].keys() == {"OK", "WARN", "FAIL", "SKIP"}
    assert sum(content["summary"].values()) == len(content["findings"]) >= 50
    assert kept.stat().st_mode & 0o077 == 0
    assert not list(kept.parent.glob("doctor.json.*"))


def test_a_check_needs_a_question_and_an_id_of_its_own() -> None:
    def no_question(_: Deployment) -> Finding:
        """It is so."""
        return ok("")

    def another(_: Deployment) -> Finding:
        """Is it so?"""
        return ok("")

    with pytest.raises(ValueError, match="question"):
        check("made.up", why="")(no_question)
    with pytest.raises(ValueError, match="needs an id"):
        check("made", why="")(another)
    with pytest.raises(ValueError, match="Two checks"):
        check("db.answers", why="")(another)


def test_a_feature_brings_its_own_checks(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_checks.py").write_text(
        "from app.platform.doctor.registry import check, fail, ok\n\n"
        '@check("shop.stock", why="Nobody can buy what is not there.")\n'
        "def stock(deployment):\n"
        '    """Is there something to sell?"""\n'
        '    return fail("Nothing.", "flask shop restock")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.extensions["checks"] = ["shop_checks"]
    try:
        run = app.test_cli_runner().invoke(args=["doctor", "--only", "shop"])
    finally:
        registry.CHECKS.pop("shop.stock", None)
    assert run.exit_code == 2
    assert "flask shop restock" in run.stdout


def test_the_capacity_sheet_adds_up(make_app: Callable[..., Flask]) -> None:
    app = make_app(WORKERS=3, THREADS=10, JOBS="external")
    said = app.test_cli_runner().invoke(args=["doctor", "--capacity"]).stdout
    assert "3 × 10" in said
    assert re.search(r"Requests at once +30\n", said)
    assert re.search(r"Database connections +48, 6 of them for jobs; 96 while", said)  # 3 × (10 + 4 spare) + 6
    assert re.search(r" 50 ms +600\n", said)
    assert "Change first: " in said


@pytest.mark.parametrize(
    ("memory", "workers", "threads", "first"),
    [
        (1 << 28, 8, 16, "Memory"),
        (1 << 40, 1, 16, "WORKERS=8"),
        (1 << 40, 8, 2, "THREADS"),
        (1 << 40, 8, 16, "CPUs end"),
    ],
)
def test_what_to_change_first_is_what_ends_first(memory: int, workers: int, threads: int, first: str) -> None:
    need = Capacity(8, memory, workers, threads, workers * (96 << 20), 1, jobs=False)
    assert first in advice(need)


def test_a_web_worker_carries_no_check(tmp_path: Path) -> None:
    code = "import sys, wsgi; print([name for name in sys.modules if '.doctor.' in name or name.endswith('.checks')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    loaded = {name.rpartition(".")[2] for name in re.findall(r"'([^']+)'", done.stdout)}
    checks = {*registry.PARTS, *registry.LIVE_PARTS, "registry", "examination", "document", "site", "checks"}
    assert {"command", "page"} <= loaded
    assert not loaded & checks


def test_it_takes_at_most_three_seconds(tmp_path: Path) -> None:
    """3 s where `flask settings show`, which looks at nothing, takes one: both wait for a machine that is busy."""
    flask(tmp_path, "db", "upgrade")
    times = {"settings show": 99.0, "doctor --fail-on never": 99.0}
    for command in list(times) * 3:
        started = time.monotonic()
        flask(tmp_path, *command.split())
        times[command] = min(times[command], time.monotonic() - started)
    assert times["doctor --fail-on never"] <= 3 * times["settings show"], times


def test_a_database_that_hangs_is_waited_for_once(make_app: Callable[..., Flask]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_app(DATABASE_URL=f"postgresql+psycopg://app@127.0.0.1:{silent.getsockname()[1]}/app")
        run = app.test_cli_runner().invoke(args=["doctor", "--json"])
    found = {each["id"]: each for each in json.loads(run.stdout)["findings"]}
    assert found["db.answers"]["status"] == "FAIL"
    for name in ("db.writable", "db.migrations", "db.connections", "host.clock", "metrics.readable"):
        assert found[name]["seen"] == "the database does not answer."
        assert found[name]["ms"] < 100


def test_its_output_is_for_machines_too(tmp_path: Path) -> None:
    flask(tmp_path, "db", "upgrade")
    report = json.loads(flask(tmp_path, "doctor", "--json", "--fail-on", "never"))
    for found in report["findings"]:
        assert found.keys() == {"id", "status", "question", "seen", "why", "fix", "docs", "ms"}
        assert bool(found["fix"]) == (found["status"] in {"WARN", "FAIL"}), found
    assert os.environ.get("NO_COLOR") or "\x1b" not in json.dumps(report)
