"""The secrets of these settings, and how they are kept out of what is said."""

import re
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any
from urllib.parse import unquote

from flask import current_app
from pydantic import SecretStr

from app.platform.doctor.registry import Check, Deployment

LONG = 16  # characters: no word has so many
_URL_PASSWORD = re.compile(r"://[^/@]*:([^/]+)@|[?&]password=([^&]+)")


def in_use(deployment: Deployment) -> dict[str, set[str]]:
    """Name of a setting, and each secret that is in its value: as it is written, decoded, and its long parts."""
    known = {"SECRET_KEY": {str(current_app.secret_key or "")}}
    for name, value in deployment.settings:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
        for part in parts:
            if isinstance(part, SecretStr):
                known.setdefault(name, set()).add(part.get_secret_value())
            elif isinstance(part, str) and "://" in part:
                known.setdefault(name, set()).update(text for found in _URL_PASSWORD.findall(part) for text in found)
    for secrets in known.values():
        secrets |= {unquote(secret) for secret in secrets}
        secrets |= {part for secret in secrets for part in secret.split() if len(part) >= LONG}
        secrets.discard("")
    return {name: secrets for name, secrets in known.items() if secrets}


def _pattern(secret: str) -> str:
    """What may be a word counts as a word of its own only: a password "app" must not spoil every "application"."""
    if len(secret) >= LONG or (len(secret) > 7 and not re.fullmatch(r"[A-Za-z_-]+", secret)):
        return re.escape(secret)
    return rf"(?<!\w){re.escape(secret)}(?!\w)"


def hider(deployment: Deployment) -> Callable[..., str]:
    """A function that replaces every secret of these settings in a text with ***; `public`: phrases that stay whole."""
    known = {secret for secrets in in_use(deployment).values() for secret in secrets}
    if not known:
        return lambda text, public=(): text
    secrets = re.compile("|".join(_pattern(secret) for secret in sorted(known, key=len, reverse=True)))

    def hide(text: str, public: Iterable[str] = ()) -> str:
        if not secrets.search(text):
            return text
        # A phrase that is nothing but a secret could be one that was put in.
        kept = {phrase for phrase in public if secrets.search(phrase) and phrase.strip(" \n:/='\"") not in known}
        ordered = sorted([*kept, *known], key=len, reverse=True)
        either = re.compile("|".join(re.escape(part) if part in kept else _pattern(part) for part in ordered))
        return either.sub(lambda found: found[0] if found[0] in kept else "***", text)

    return hide


def literals(check: Check, deployment: Deployment) -> Iterator[str]:
    """The phrases that stand in a check's code, and the folders of the site: they are no secrets of anybody."""
    yield from map(str, (deployment.root, deployment.base, deployment.instance))
    if isinstance(check.function, FunctionType):
        yield from _phrases(check.function.__code__, check.function.__globals__, set())


def _phrases(code: CodeType, known: dict[str, Any], seen: set[CodeType]) -> Iterator[str]:
    if code in seen:
        return
    seen.add(code)
    named = [known[name] for name in code.co_names if name in known]
    for value in (*code.co_consts, *named):
        if isinstance(value, str):
            yield value
        elif isinstance(value, CodeType):
            yield from _phrases(value, known, seen)
        elif isinstance(value, FunctionType) and value.__module__.startswith("app."):
            yield from _phrases(value.__code__, value.__globals__, seen)
