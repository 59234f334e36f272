"""`flask doctor`: the deployment checklist. Only this command, and what it calls, imports the checks.

Exit codes: 0 nothing to be done, 1 warnings, 2 failures or a wrong option.
"""

import json
import os
import sys

import click
from flask import current_app
from flask.cli import with_appcontext

from config import Config


@click.command()
@click.option("--url", metavar="URL", help="Ask the running site, too: https://www.example.com")
@click.option("--connect", default="", metavar="ADDRESS", help="Ask it there, before the DNS leads there.")
@click.option("--http-port", default=80, show_default=True, help="Where it answers plain http.")
@click.option("--only", multiple=True, metavar="ID,…", help="Only these checks, or areas: db, secret.strength.")
@click.option("--skip", "left_out", multiple=True, metavar="ID,…", help="All but these.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--quiet", is_flag=True, help="Say only what is to be done.")
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail", "never"]),
    default="warn",
    show_default=True,
    help="What makes the exit code: warn (1 for warnings, 2 for failures), fail (2 for failures only), never.",
)
@click.option("--capacity", is_flag=True, help="Print what this machine can carry, and what to change first.")
@click.option("--docs", is_flag=True, hidden=True, help="Print the text of docs/doctor.md.")
@with_appcontext
def doctor(
    url: str | None,
    connect: str,
    http_port: int,
    only: tuple[str, ...],
    left_out: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    fail_on: str,
    capacity: bool,
    docs: bool,
) -> None:
    """Look at this deployment as an expert would, and say what to type. Exit code: 0 good, 1 warnings, 2 failures.

    Nothing is changed, and no secret is printed. With --url it also asks the site, as visitors do and as attackers do:
    run it where the site runs, which then tells it more. docs/doctor.md says more of each check.
    """
    from app.platform.doctor import examination, registry, remedies

    settings: Config = current_app.extensions["settings"]
    if sys.platform != "win32" and os.geteuid() == 0 != (owner := os.stat(settings.INSTANCE_PATH).st_uid):
        # The cache's file, or the database's -wal, would then be root's, and the server could not open them.
        raise click.UsageError(
            f"The site is another user's. Ask as that one: sudo -u '#{owner}' .venv/bin/flask --app wsgi doctor"
        )
    site = None
    if url:
        from app.platform.doctor.site import Site

        site = Site.at(url, connect, http_port)
    deployment = registry.Deployment(settings, site=site)
    if capacity:
        from app.platform.doctor import capacity as sheet

        click.echo(sheet.as_text(sheet.measure(deployment)))
        return
    known = registry.load(current_app._get_current_object())  # type: ignore[attr-defined]
    if docs:
        from app.platform.doctor import document

        click.echo(document.page(known.values()), nl=False)
        return
    checks = examination.select(known, only, left_out)
    if all(check.is_live for check in checks) and not (checks and site):  # what was not looked at is not good
        raise click.UsageError(
            "They ask the running site: --url https://www.example.com" if checks else "Nothing is left to look at."
        )
    results = examination.examine(deployment, checks)
    content = examination.report(results, url or "")
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        where = remedies.settings_place(deployment)
        examination.print_results(results, examination.wants_colour(), quiet, where)
    if not any(only) and not any(left_out):
        try:
            examination.store(settings.INSTANCE_PATH, content)
        except OSError as error:
            click.echo(f"The result can not be kept for the admin's page: {error.strerror}.", err=True)
    sys.exit(examination.exit_code(results, fail_on))
