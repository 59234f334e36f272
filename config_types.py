"""What values the settings of config.py take, and what is said of one that is wrong."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

ROOT = Path(__file__).resolve().parent


def _comma_separated(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in _comma_separated(value)]
    if not all(name and level for name, _, level in parts):
        raise ValueError("takes name=LEVEL, comma separated")
    return {name.strip(): level.strip() for name, _, level in parts}


def _only(pattern: str, remedy: str, flags: int = re.I) -> AfterValidator:
    """Refuses a text, or a tuple with a text, that is not `pattern` as a whole."""

    def check(value: Any) -> Any:
        if not all(re.fullmatch(pattern, text, flags) for text in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(remedy)
        return value

    return AfterValidator(check)


def _listening(value: Any) -> Any:
    text = str(value)
    if (
        not re.fullmatch(r"(([a-z0-9.-]+|\[[0-9a-f:.]+\]):)?\d{1,5}", text)
        or not 1 <= int(text.split(":")[-1]) <= 65535
    ):
        raise ValueError("takes a port, or an address with it: 9100, 127.0.0.1:9100, [::1]:9100")
    return text


Environment = Literal["development", "production", "testing"]
Jobs = Literal["embedded", "external", "off"]
LogFormat = Literal["json", "console"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
AnyCase = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
Folder = Annotated[Path, AfterValidator(lambda path: (ROOT / path).resolve())]  # past the link that a release has
Levels = Annotated[dict[str, Annotated[LogLevel, AnyCase]], NoDecode, BeforeValidator(_pairs)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_comma_separated)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]
RedisUrl = Annotated[str, _only(r"(rediss?|unix)://.*", "must start with redis://, rediss:// or unix://")]
Hosts = Annotated[
    Names,
    _only(
        r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*", "takes names like www.example.com or .example.com: no scheme, no port, no *"
    ),
]
_ORIGINS = "takes exact origins like https://app.example, lower case, no path and no *"
Origins = Annotated[Names, _only(r"https?://[a-z0-9.\-\[\]:]+", _ORIGINS, flags=0)]
_SOURCES = "takes directives with sources, like: script-src https://cdn.example; img-src https:"
Directives = Annotated[str, _only(r"( *[a-z]+(-[a-z]+)*-src( [^\s;,]+)+ *(;|$))*", _SOURCES, flags=0)]
MAILBOX = r'(?:"?([^"<>]*?)"? *<)?([^@\s<>,;"]+)@([^@\s<>,;"]+)(?(1)>)'  # ops@example.com or Ops <ops@example.com>
Listening = Annotated[str, BeforeValidator(_listening)]
Url = Annotated[str, _only(r"https?://\S+", "must start with http:// or https://")]
Servers = Annotated[
    Names,
    _only(
        r"(https?://)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?",
        "takes servers like nacos.internal:8848",
    ),
]
Addresses = Annotated[Names, _only(r"[^@\s,]+@[^@\s,]+", "takes addresses like ops@example.com, comma separated")]
