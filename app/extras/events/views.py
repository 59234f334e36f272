"""Pages that ask what was published since they asked last, and what every way to get events has in common.

Whoever knows the name of a channel may read it, logged in or not: no cookie is looked at, so what is private belongs
into a channel whose name nobody can guess.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Blueprint, Response, current_app, request

from app.extras.events.bus import Bus, Number, number_of
from app.platform.errors import AppError

CHANNEL = re.compile(r"[a-zA-Z0-9][\w.:-]{0,63}", re.ASCII)
CHANNELS = 5  # of one page
OLDEST = 60.0  # s: a page that was made longer ago begins with what was published in the last minute
PAUSE = 30  # s for who gets no answer
_NUMBER = re.compile(r"\d{1,18}(?:-\d{1,18})?", re.ASCII)

blueprint = Blueprint("events", __name__, template_folder="templates")


@blueprint.get("/events/since")
def since() -> Response:
    """What was published on a channel `after` a number, or in the last `age` seconds; and how to go on from there."""
    channels, position = subscription()
    with _store() as bus:
        news = bus.news(position(), channels)
    hub = current_app.extensions.get("push")
    by = hub.way(request.environ) if hub else "asking"
    events = ",".join(event.json for event in news.events)
    body = f'{{"id":"{news.reached}","by":"{by}","lost":{json.dumps(news.lost)},"events":[{events}]}}'
    return Response(body, mimetype="application/json", headers={"Cache-Control": "no-store"})


def subscription() -> tuple[list[str], Callable[[], Number]]:
    """The channels of this request, and a function for the number to go on from, which may have to ask the bus.

    Raises AppError 400, and the function 503 when the bus does not answer.
    """
    channels = list(dict.fromkeys(request.args.getlist("channel")))
    if not 1 <= len(channels) <= CHANNELS or not all(map(CHANNEL.fullmatch, channels)):
        raise AppError(f"Name 1 to {CHANNELS} channels, as in ?channel=posts.", 400)
    if seen := request.headers.get("Last-Event-ID") or request.args.get("after"):
        if not _NUMBER.fullmatch(seen):
            raise AppError("`after` is the id of an event, as it came with it.", 400)
        return channels, lambda: number_of(seen)
    age = request.args.get("age", 0.0, type=float)

    def begin() -> Number:
        with _store() as bus:
            return bus.before(min(age, OLDEST)) if age > 0 else bus.latest()

    return channels, begin


@contextmanager
def _store() -> Iterator[Bus]:
    """Raises AppError 503 when it does not answer."""
    bus: Bus = current_app.extensions["bus"]
    try:
        yield bus
    except bus.errors as error:
        current_app.logger.warning("no events: %s", str(error).partition("\n")[0])
        pause = {"Retry-After": str(PAUSE)}
        raise AppError("The store of the events does not answer right now.", 503, headers=pause) from error
