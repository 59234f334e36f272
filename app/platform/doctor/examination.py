"""Asks the checks, and makes what they say fit to be shown: masked, counted, as text, as JSON, for the admin's page."""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from app.extensions import db
from app.platform import logs
from app.platform.database import utc_now
from app.platform.doctor import remedies, secrecy
from app.platform.doctor.registry import Check, Deployment, Finding, Status, skip
from app.platform.version import version

STORED = "doctor.json"  # in the instance folder: what the admin's page shows
COLOURS: dict[Status, str] = {"OK": "green", "WARN": "yellow", "FAIL": "red", "SKIP": "bright_black"}
FIRST = "db.answers"  # where it fails, those that ask the database are not asked
OF_DATABASE = ("db.", "sqlite.", "jobs.", "auth.", "metrics.", "host.clock")
# They look at the way to the site, which may be what is wrong; where it is away, no other live check is asked.
OF_THE_WAY = {"live.answers", "live.tls", "live.bypass"}
_SETTING = re.compile(r"[A-Z][A-Z_]+=")


@dataclass(frozen=True)
class Result:
    check: Check
    finding: Finding
    milliseconds: float

    def as_json(self) -> dict[str, Any]:
        check, finding = self.check, self.finding
        shown = {"id": check.id, "status": finding.status, "question": check.question, "seen": finding.seen}
        return shown | {"why": check.why, "fix": finding.fix, "docs": check.docs, "ms": round(self.milliseconds, 1)}


def examine(deployment: Deployment, checks: Iterable[Check]) -> list[Result]:
    """Each check, one after the other. One that raises has seen nothing: SKIP, with what it raised."""
    hide, results, is_away = secrecy.hider(deployment), [], False
    for check in checks:
        results.append(_ask(check, deployment, hide, is_away))
        is_away = is_away or (check.id == FIRST and results[-1].finding.status == "FAIL")
    return results


def _ask(check: Check, deployment: Deployment, hide: Callable[..., str], is_away: bool = False) -> Result:
    started = time.perf_counter()
    if is_away and check.id.startswith(OF_DATABASE):  # each would wait for its time-out
        finding = skip("the database does not answer.")
    elif check.is_live and deployment.site is None:
        finding = skip("it asks the running site: flask doctor --url https://www.example.com")
    else:
        try:
            site = deployment.site if check.is_live and check.id not in OF_THE_WAY else None
            finding = skip(site.is_away) if site and site.is_away else check.function(deployment)
        except Exception as error:
            reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
            finding = skip(f"it could not be looked at: {type(error).__name__}: {reason}")
        finally:
            with suppress(Exception):  # a database that is down is what another check says
                db.session.rollback()
    # A fix is a line to be typed: logs.mask() would take `SECRET_KEY=$(...)` for a secret.
    fix = remedies.typeable(deployment, hide(finding.fix, secrecy.literals(check, deployment)))
    finding = Finding(finding.status, hide(logs.mask(finding.seen)), fix)
    return Result(check, finding, (time.perf_counter() - started) * 1000)


def select(checks: dict[str, Check], only: Iterable[str], left_out: Iterable[str]) -> list[Check]:
    """By id, or by area: `db` stands for all that begin with `db.`. Raises click.UsageError for what is neither.

    To leave out what is not there is no error, and is told: scripts name checks of extras, which may be deleted.
    """
    wanted, unwanted = ([name.strip() for text in texts for name in text.split(",")] for texts in (only, left_out))
    unknown, gone = (
        ", ".join(name for name in names if name and not any(_is_meant(check, name) for check in checks.values()))
        for names in (wanted, unwanted)
    )
    if unknown:
        raise click.UsageError(f"There is no check {unknown}. There are: {', '.join(sorted(checks))}")
    if gone:
        click.echo(f"Nothing to leave out: there is no check {gone}.", err=True)
    return [
        check
        for check in sorted(checks.values(), key=lambda check: (check.is_last, check.id != FIRST))
        if (not any(wanted) or any(_is_meant(check, name) for name in wanted))
        and not any(_is_meant(check, name) for name in unwanted)
    ]


def _is_meant(check: Check, name: str) -> bool:
    return name in {check.id, check.area}


def report(results: list[Result], url: str) -> dict[str, Any]:
    counted = {status: sum(result.finding.status == status for result in results) for status in COLOURS}
    about = {"time": utc_now().isoformat(timespec="seconds"), "version": version(), "url": url, "summary": counted}
    return about | {"findings": [result.as_json() for result in results]}


def summary(results: list[Result]) -> str:
    count = {status: sum(result.finding.status == status for result in results) for status in COLOURS}
    took = sum(result.milliseconds for result in results) / 1000
    parts = f"{count['FAIL']} failed, {count['WARN']} warnings, {count['OK']} good, {count['SKIP']} not looked at"
    return f"{parts}; {len(results)} checks in {took:.1f} s."


def print_results(results: list[Result], colour: bool, quiet: bool, set_where: str = "in .env") -> None:
    """`set_where`: where a line like NAME=value belongs, and what is to be done then."""
    for result in results:
        check, finding = result.check, result.finding
        if quiet and finding.status in {"OK", "SKIP"}:
            continue
        status = click.style(f"{finding.status:<4}", fg=COLOURS[finding.status], bold=finding.status == "FAIL")
        _say(f"{status}  {check.id:<20}  {finding.seen}", colour)
        if finding.status in {"WARN", "FAIL"}:
            _say(f"      why: {check.why}", colour)
            for line in finding.fix.splitlines():
                where = f"  ({set_where})" if _SETTING.match(line) else ""
                _say(f"      fix: {click.style(line, bold=True)}{where}", colour)
            _say(f"      see: {check.docs}", colour)
    worst = exit_code(results)
    _say(click.style(summary(results), fg=("green", "yellow", "red")[worst], bold=True), colour)


def _say(text: str, colour: bool) -> None:
    click.echo(text, color=colour)


def wants_colour() -> bool:
    """On a terminal, unless NO_COLOR is set to something (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def exit_code(results: list[Result], fail_on: str = "warn") -> int:
    """0 good, 1 warnings, 2 failures; `fail_on` "fail" lets warnings pass, "never" all."""
    found = {result.finding.status for result in results}
    if fail_on != "never" and "FAIL" in found:
        return 2
    return 1 if fail_on == "warn" and "WARN" in found else 0


def store(instance: Path, content: dict[str, Any]) -> None:
    """For the admin's page: whole or not at all, readable for who owns the folder. Raises OSError."""
    owner = os.stat(instance)
    descriptor, draft = tempfile.mkstemp(dir=instance, prefix=f"{STORED}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        if sys.platform != "win32" and os.geteuid() == 0:
            os.chown(draft, owner.st_uid, owner.st_gid)
        os.replace(draft, instance / STORED)
    finally:
        Path(draft).unlink(missing_ok=True)
