"""News for the pages that are open: features publish them, and know nothing of how they travel.

Without extras/events nothing is published, and a page shows what is new when it is loaded again.
"""

from collections.abc import Mapping
from typing import Any

from flask import current_app


def publish(channel: str, event: Mapping[str, Any]) -> None:
    """Everybody who knows the name of the channel may read the event, which is what JSON can say, up to 8 KiB of it.

    In a write_unit() it is published if and only if the unit commits.
    """
    if send := current_app.extensions.get("publish"):
        send(channel, event)
