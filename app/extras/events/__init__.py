"""Events: what features publish is kept for some minutes, for pages that ask; extras/push tells it at once."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app
from sqlalchemy import event as happening
from sqlalchemy.orm import Session, SessionTransaction

from app.extensions import db
from app.extras.events import views
from app.extras.events.bus import Bus, DatabaseBus, Message, RedisBus
from app.platform import database
from config import Config

LONGEST = 8192  # bytes of an event. It is news of something, not the thing itself: pages ask for that.
SELDOM = 10.0  # s between two lines about events that are lost
_PUBLISHED = "groundwork.push"  # in Session.info: what the write unit has published so far
_log = logging.getLogger("groundwork.push")
_lost = {"events": 0, "next line": 0.0}


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    app.register_blueprint(views.blueprint)
    with app.app_context():
        engine = db.engine
    app.extensions["bus"] = RedisBus(settings.REDIS_URL, settings.slug) if settings.REDIS_URL else DatabaseBus(engine)
    app.extensions["subscription"] = views.subscription
    app.extensions["publish"] = publish


def publish(channel: str, event: Mapping[str, Any]) -> None:
    """See app/platform/events.py. Raises ValueError for a channel or an event that can not be."""
    if not views.CHANNEL.fullmatch(channel):
        raise ValueError(f"{channel!r} is no name of a channel")
    data = json.dumps(dict(event), separators=(",", ":"))
    if len(data) > LONGEST:
        raise ValueError(f"an event of {len(data)} bytes: publish a key, and let the page ask for what belongs to it")
    if database.is_writing():
        db.session.info.setdefault(_PUBLISHED, []).append((channel, data))
    else:
        _send([(channel, data)])


def _bus() -> Bus:
    bus: Bus = current_app.extensions["bus"]
    return bus


def _send(messages: list[Message]) -> None:
    """News that are lost must not fail what they are about."""
    bus = _bus()
    try:
        bus.send(messages)
    except bus.errors as error:
        _lost["events"] += len(messages)
        if time.monotonic() > _lost["next line"]:
            _log.warning("events are lost, %d so far: %s", _lost["events"], str(error).partition("\n")[0])
            _lost["next line"] = time.monotonic() + SELDOM


def _write_with_the_unit(session: Session) -> None:
    """At the end of the unit, because the numbers of events are taken one after the other.

    After all else is written: a unit that waits for a row while it holds the lock of the numbers, and one that has the
    row and waits for the lock, would wait for each other.
    """
    if _PUBLISHED in session.info and not session.in_nested_transaction() and _bus().transactional:
        session.flush()
        _bus().send(session.info.pop(_PUBLISHED), session.connection())


def _send_after_the_unit(session: Session) -> None:
    if _PUBLISHED in session.info and not session.in_nested_transaction():
        _send(session.info.pop(_PUBLISHED))


def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_PUBLISHED, None)  # it was rolled back


happening.listen(db.session, "before_commit", _write_with_the_unit)
happening.listen(db.session, "after_commit", _send_after_the_unit)
happening.listen(db.session, "after_transaction_end", _forget)
