"""`flask settings list|get|set|unset|check`: the live settings, beside those of .env that `show` prints."""

from typing import Any

import click

from app.extras.live_settings import edit
from app.extras.live_settings.live import current
from app.extras.live_settings.schema import Settings, typed
from app.platform.doctor.settings import commands as commands
from app.platform.flags import FLAGS


@commands.command()
@click.argument("name", required=False)
def get(name: str | None) -> None:
    """Print one live setting, or all: those of the file, and the defaults of the others."""
    values, defaults = _values(name), Settings().by_name()
    if name:
        return click.echo(_shown(values[name]))
    width = max(map(len, values))
    for each, value in values.items():
        default = "  (default)" if value == defaults.get(each, False) else ""
        click.echo(f"{each:<{width}}  {_shown(value)}{default}")
    return None


commands.add_command(get, "list")


@commands.command("set")
@click.argument("name")
@click.argument("value")
def set_(name: str, value: str) -> None:
    """Change a live setting, in every process within 2 s: set maintenance.on true"""
    _change(name, value)
    if name.startswith("flags.") and name.removeprefix("flags.") not in FLAGS:
        click.echo(f"Note: no feature of this release asks for it. There are: {', '.join(FLAGS)}.", err=True)


@commands.command()
@click.argument("name")
def unset(name: str) -> None:
    """Take a live setting out of the file: its default counts, and a logger has its earlier level again."""
    _values(name)
    _change(name, None)


@commands.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Say what is wrong with the file, by line. The exit code is 2 then, and 1 for flags that nothing asks for."""
    live = current()
    if live.fault:
        click.echo("\n".join(f"{live.path}: {line}" for line in live.fault.splitlines()))
        context.exit(2)
    if unknown := [name for name in live.now.flags if name not in FLAGS]:
        click.echo(f"{live.path}: no feature of this release asks for the flags {', '.join(unknown)}")
        context.exit(1)
    click.echo(f"{live.path}: good" if live.path.exists() else f"{live.path} does not exist: all have their defaults.")


def _values(wanted: str | None = None) -> dict[str, Any]:
    """Those in force, with the flags that features ask for; `wanted` must be one of them."""
    values = dict.fromkeys((f"flags.{name}" for name in FLAGS), False) | current().now.by_name()
    if wanted and wanted not in values:
        raise click.ClickException(f"{wanted} is not set. See them all: flask settings list")
    return values


def _change(name: str, text: str | None) -> None:
    live = current()
    edit.change(live, {name: None if text is None else typed(name, text)})
    value = _shown(live.now.by_name().get(name, "(not set)"))
    click.echo(f"{name} = {value}, in every process within 2 s. {live.path}")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
