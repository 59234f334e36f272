"""Parts of a feature that can be switched while it runs: the feature says which there are, and asks.

extras/live_settings switches them. Without that extra each is off.
"""

from flask import current_app

FLAGS: dict[str, str] = {}  # what is on while the flag is


def declare_flag(name: str, meaning: str) -> None:
    """Once, where the feature is loaded. `name` is of lower-case letters, digits and dashes."""
    FLAGS[name] = meaning


def flag(name: str) -> bool:
    """Is it on? For views and templates; asked twice in a request, it may have been switched in between.

    Raises LookupError for a name that nobody has declared: misspelt, it would be off for ever.
    """
    if name not in FLAGS:
        raise LookupError(f"No feature declares the flag {name!r}.")
    return bool(current_app.extensions.get("flags", {}).get(name))
