"""What a check is, and the list of them all. A feature brings its own: see docs/doctor.md.

A check looks and never changes anything. What it says is masked before it leaves: secrets are no matter of its own.
"""

import importlib
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flask import Flask

from config import Config
from config_types import ROOT

if TYPE_CHECKING:
    from app.platform.doctor.site import Site

Status = Literal["OK", "WARN", "FAIL", "SKIP"]
PARTS = ("databases", "sqlite", "configuration", "access", "host", "code", "capacity", "stores", "work")
LIVE_PARTS = ("live_edge", "live_trust", "live_pages", "live_probes")


@dataclass(frozen=True)
class Finding:
    """`seen`: what is so. `fix`: the line that mends it, to be typed or to be written into .env; for WARN and FAIL."""

    status: Status
    seen: str
    fix: str = ""


def ok(seen: str) -> Finding:
    return Finding("OK", seen)


def warn(seen: str, fix: str) -> Finding:
    """It works, and will hurt some day."""
    return Finding("WARN", seen, fix)


def fail(seen: str, fix: str) -> Finding:
    """Nobody should be let onto this: a deploy stops here."""
    return Finding("FAIL", seen, fix)


def skip(reason: str) -> Finding:
    """It could not be looked at, or does not apply here. Never say OK of what was not seen."""
    return Finding("SKIP", reason)


@dataclass(frozen=True)
class Deployment:
    """What a check looks at, besides `current_app`: a test gives it another folder, environment or machine."""

    settings: Config
    root: Path = ROOT
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    machine: Path = Path("/")
    site: "Site | None" = None

    @property
    def instance(self) -> Path:
        return self.settings.INSTANCE_PATH

    @property
    def base(self) -> Path:
        """The site's folder, where this is a release of one; else the one that the docs name."""
        return self.root.parent.parent if self.root.parent.name == "releases" else Path("/srv/groundwork")

    @property
    def unit(self) -> dict[str, str]:
        """What the systemd unit that serves this folder says, with its drop-ins; {} without one.

        The variables of its Environment= lines stand beside the other names.
        """
        folders = {
            str(self.root),
            str(self.root.parent.parent / "current"),
        }  # a release, and the link to the one in use
        for file in sorted((self.machine / "etc/systemd/system").glob("*.service")):
            lines = [
                line
                for part in (file, *sorted(file.with_name(f"{file.name}.d").glob("*.conf")))
                for line in _lines(part)
            ]
            said = dict(line.split("=", 1) for line in lines if "=" in line)
            if said.get("WorkingDirectory") in folders and "gunicorn" in said.get("ExecStart", ""):
                variables = [line.removeprefix("Environment=") for line in lines if line.startswith("Environment=")]
                return said | dict(pair.split("=", 1) for line in variables for pair in _words(line) if "=" in pair)
        return {}

    @property
    def bound(self) -> str:
        """HOST as the server has it: its unit's counts more than .env."""
        return self.unit.get("HOST", self.settings.HOST)

    @property
    def is_container(self) -> bool:
        in_docker = any((self.machine / mark).exists() for mark in (".dockerenv", "run/.containerenv"))
        return in_docker or "KUBERNETES_SERVICE_HOST" in self.environ

    def is_neighbour(self, host: str | None) -> bool:
        """Of this container, by the name that its network gives it: who else reaches it is that network's affair."""
        return self.is_container and bool(host) and "." not in str(host) and ":" not in str(host)


def _lines(unit: Path) -> list[str]:
    """Of a unit's file, those that go on joined; none of what can not be read: most units are none of ours."""
    try:
        text = unit.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.replace("\\\n", " ").splitlines() if not line.startswith(("#", ";"))]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an apostrophe in it
        return line.split()


@dataclass(frozen=True)
class Check:
    id: str
    question: str
    why: str
    function: Callable[[Deployment], Finding]
    is_live: bool
    is_last: bool

    @property
    def area(self) -> str:
        return self.id.partition(".")[0]

    @property
    def docs(self) -> str:
        return f"docs/doctor.md#{self.id.replace('.', '')}"


CHECKS: dict[str, Check] = {}


def check(
    identity: str, why: str, live: bool = False, last: bool = False
) -> Callable[[Callable[[Deployment], Finding]], Callable[[Deployment], Finding]]:
    """Makes a function a check, named `area.what` for ever: scripts of others go by that name.

    The function's docstring is the question that it answers. `why` says what happens to those who do not mind.
    `live`: it asks a running site, and is asked itself only with `--url`. `last`: what it does stands in others' way.
    """

    def decorate(function: Callable[[Deployment], Finding]) -> Callable[[Deployment], Finding]:
        question = " ".join((function.__doc__ or "").split())
        if not question.endswith("?") or "." not in identity:
            raise ValueError(f"The check {identity!r} needs an id like area.what, and a docstring that is a question.")
        if (other := CHECKS.get(identity)) and other.function.__code__ is not function.__code__:
            raise ValueError(f"Two checks have the id {identity}.")
        CHECKS[identity] = Check(identity, question, why, function, live, last)
        return function

    return decorate


def load(app: Flask) -> dict[str, Check]:
    """Imports all checks: the platform's, then those of features. Returns them by id."""
    for part in (*PARTS, *LIVE_PARTS):
        importlib.import_module(f"app.platform.doctor.{part}")
    for module in app.extensions.get("checks", ()):
        importlib.import_module(module)
    return CHECKS
