"""What live.toml may say, and what is said of a file that says something else. Nothing of a faulty file counts."""

import re
import tomllib
from contextlib import suppress
from typing import Annotated, Any, Literal

import click
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from config_types import AnyCase, LogLevel

SIZE_LIMIT = 16 * 1024  # bytes; each process reads it while a visitor waits


class FaultError(click.ClickException):
    """Its text says where and what, one line for each fault; commands print it."""


def _dotted(value: Any, prefix: str = "") -> Any:
    """`sqlalchemy.engine = "INFO"` is a table in a table for TOML; here it is the name of a logger."""
    if not isinstance(value, dict):
        return value
    names: dict[str, Any] = {}
    for name, part in value.items():
        names |= _dotted(part, f"{prefix}{name}.") if isinstance(part, dict) else {f"{prefix}{name}": part}
    return names


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Maintenance(Section):
    on: bool = False
    text: str = Field("We are improving something here. Please come back in a few minutes.", max_length=1000)
    retry_after: int = Field(300, ge=1, le=86_400)  # seconds


class Banner(Section):
    text: str = Field("", max_length=300)
    level: Literal["info", "warning"] = "info"


FlagName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
LoggerName = Annotated[str, Field(min_length=1)]


class Settings(Section):
    maintenance: Maintenance = Maintenance()
    banner: Banner = Banner()
    flags: dict[FlagName, bool] = {}
    log_levels: Annotated[dict[LoggerName, Annotated[LogLevel, AnyCase]], BeforeValidator(_dotted)] = {}

    def by_name(self) -> dict[str, Any]:
        """`maintenance.on`, `flags.reading-time`, `log_levels.sqlalchemy.engine` …, with their values."""
        parts = self.model_dump().items()
        return {f"{section}.{key}": value for section, part in parts for key, value in part.items()}


KNOWN = ", ".join([*Settings().by_name(), "flags.NAME", "log_levels.LOGGER"])


def parse(text: str) -> Settings:
    """Raises FaultError."""
    try:
        return Settings.model_validate(tomllib.loads(text), strict=True)
    except ValidationError as error:
        raise FaultError("\n".join(_said(fault, _line(text, fault["loc"])) for fault in error.errors())) from None
    except (ValueError, RecursionError) as error:  # no TOML, or nested too deeply
        raise FaultError(re.sub(r"(.*) \(at (line \d+), column \d+\)", r"\2: \1", str(error))) from None


def typed(name: str, value: str) -> Any:
    """What somebody has typed for the setting `name`, as the file has it. Raises FaultError."""
    section, _, key = name.partition(".")
    try:
        return Settings.model_validate({section: {key: value}}).by_name()[name]
    except ValidationError as error:
        raise FaultError("\n".join(_said(fault) for fault in error.errors())) from None


def _said(fault: Any, line: int | None = None) -> str:
    where = f"line {line}: " if line else ""
    name = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"{where}there is no setting {name}. There are {KNOWN}"
    return f"{where}{name} {re.sub('^[A-Z][a-z]+ should', 'must', fault['msg'])}"


def _line(text: str, loc: tuple[Any, ...]) -> int | None:
    """The line that gives this setting: the first after which the file has it."""
    section, key = (*loc, None)[:2]
    lines = text.splitlines()
    named = [number for number, line in enumerate(lines, 1) if (key or section).rpartition(".")[2] in line]
    for number in named:
        with suppress(tomllib.TOMLDecodeError, RecursionError):
            part = _dotted(tomllib.loads("\n".join(lines[:number])).get(section))
            if part is not None and (key is None or (isinstance(part, dict) and key in part)):
                return number
    return named[0] if named else None  # its value goes on in the next lines
