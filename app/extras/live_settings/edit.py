"""Changes live.toml for the command and the admin page: its comments stay, and never is half of it there."""

import os
from pathlib import Path
from typing import Any

from app.extras.live_settings.live import Live, write_whole
from app.extras.live_settings.schema import FaultError, Settings, parse


def why_not(path: Path) -> str:
    """Why it can not be edited from here; empty when it can."""
    if os.access(folder := path.resolve().parent, os.W_OK):
        return ""
    return f"The folder {folder} can not be written from here. Change it where it comes from: its ConfigMap, its owner."


def change(live: Live, changes: dict[str, Any]) -> None:
    """Sets each name to its value; None takes it away. In force here at once. Raises FaultError."""
    import portalocker  # it brings redis along: only who writes carries these

    if reason := why_not(live.path) or (live.fault and f"Mend {live.path} first: {live.fault}"):
        raise FaultError(reason)
    target = live.path.resolve()  # a link stays a link
    try:
        live.folder.mkdir(parents=True, exist_ok=True)
        if not (lock := live.folder / "live-settings.lock").exists():
            lock.touch()
        with portalocker.Lock(lock, "r", timeout=5):  # seconds; only read, as root may have been here before
            text = target.read_bytes().decode("utf-8-sig") if target.exists() else ""
            write_whole(target, edited(text, changes))
    except portalocker.LockException:
        raise FaultError("Somebody else is changing the file right now. Try again.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FaultError(f"{live.path} can not be changed: {error}") from None
    live.look()


def edited(text: str, changes: dict[str, Any]) -> str:
    """`text` with the changes, and otherwise as it is. Raises FaultError, also when the text is faulty already."""
    import tomlkit

    wanted = parse(text).by_name() | changes
    document = tomlkit.parse(text)
    for name, value in changes.items():
        section, _, key = name.partition(".")
        if section not in document:
            document[section] = tomlkit.table()
        _place(document[section], key, value)
    changed = tomlkit.dumps(document)
    kept = {name: value for name, value in wanted.items() if value is not None}
    if parse(changed).by_name() != Settings().by_name() | kept:
        raise FaultError("The file is written in a way that can only be edited by hand.")
    return changed


def _place(table: Any, key: str, value: Any) -> None:
    """In a table within, when the first words of a logger's name are one."""
    inner = next((name for name in table if key.startswith(f"{name}.") and isinstance(table[name], dict)), None)
    if key not in table and inner:
        _place(table[inner], key.removeprefix(f"{inner}."), value)
    elif value is None:
        table.pop(key, None)
    else:
        table[key] = value
