"""Who is logged in. The cookie names a row; log-out ends the row, so that a copy of the cookie is worth nothing."""

import functools
import hashlib
import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import abort, after_this_request, current_app, g, make_response, redirect, request, session, url_for
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from app.auth import last_login
from app.auth.models import Device, User
from app.extensions import db
from app.platform.database import utc_now
from app.platform.tasks import periodic

SEEN = timedelta(minutes=5)  # how exact the last use of a device is kept: no write for each request
_log = logging.getLogger("groundwork.auth")


def log_in(user: User) -> None:
    """Begins a session with a new id, whatever the cookie held before. Inside a write unit."""
    replaced = Device.secret_hash == _hashed(session.get("device", ""))
    db.session.execute(delete(Device).where(replaced | (Device.user_id == user.id) & has_ended()))
    secret, address = secrets.token_urlsafe(24), request.remote_addr or ""
    agent = request.user_agent.string[:200]
    db.session.add(Device(user_id=user.id, secret_hash=_hashed(secret), agent=agent, address=address[:45]))
    session.clear()
    session["device"] = secret
    session.permanent = True
    g.pop("log_in", None)
    after_this_request(functools.partial(last_login.remember, name=user.name, password_hash=user.password_hash))
    _log.info("logged in", extra={"user": user.name, "client": address})


def log_out() -> None:
    """Inside a write unit."""
    if device := current_device():
        db.session.execute(delete(Device).where(Device.id == device.id))
    session.clear()
    g.pop("log_in", None)


def end_devices(user_id: int, device_id: int | None = None) -> None:
    """Ends one session of the user, or all. Inside a write unit."""
    ending = delete(Device).where(Device.user_id == user_id)
    if device_id is not None:
        ending = ending.where(Device.id == device_id)
    db.session.execute(ending)


@periodic(seconds=3600, atomic=True)
def forget_ended_devices() -> None:
    """Those whose owner never came back; log_in() takes care of the others."""
    db.session.execute(delete(Device).where(has_ended()))


def current_user() -> User | None:
    """The user of this request's session cookie; asks the database once a request, and only when there is one."""
    return _found()[1]


def current_device() -> Device | None:
    return _found()[0]


def _found() -> tuple[Device, User] | tuple[None, None]:
    if "log_in" not in g:
        g.log_in = _find(session["device"]) if "device" in session else (None, None)
    found: tuple[Device, User] | tuple[None, None] = g.log_in
    return found


def _find(secret: str) -> tuple[Device, User] | tuple[None, None]:
    now = utc_now()
    wanted = select(Device, User).join(User, User.id == Device.user_id)
    row = db.session.execute(wanted.where(Device.secret_hash == _hashed(secret), ~has_ended(), ~User.is_disabled))
    device, user = row.one_or_none() or (None, None)
    if device is None or user is None:
        return None, None
    if now - device.seen_at > min(SEEN, _idle() / 10):
        _touch_afterwards(device.id, now)
    return device, user


def has_ended() -> Any:
    """The condition for the rows of sessions that have ended by themselves."""
    whole = timedelta(hours=current_app.config["SESSION_HOURS"])
    return (Device.seen_at < utc_now() - _idle()) | (Device.created_at < utc_now() - whole)


def _idle() -> timedelta:
    return timedelta(minutes=current_app.config["SESSION_IDLE_MINUTES"])


def _touch_afterwards(device_id: int, now: datetime) -> None:
    @after_this_request
    def touch(response: Response) -> Response:  # after the view, so that no write unit of its own is open
        try:
            with db.engine.begin() as connection:
                connection.execute(update(Device).where(Device.id == device_id).values(seen_at=now))
        except SQLAlchemyError as error:  # a database that can only be read keeps its readers
            _log.warning("the last use of a device could not be noted: %s", error)
        return response


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the view the user as its first argument. Others are sent to log in, and come back to where they wanted."""
    return _guarded(view, for_admins=False)


def admin_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the view the user as its first argument. To all but admins it does not exist."""
    return _guarded(view, for_admins=True)


def _guarded(view: Callable[..., Any], for_admins: bool) -> Callable[..., Any]:
    @functools.wraps(view)
    def guarded(**arguments: Any) -> Any:
        user = current_user()
        if for_admins and not (user and user.is_admin):
            abort(404)
        if user is None:
            has_page = "GET" in (request.url_rule.methods or ()) if request.url_rule else False
            back = request.script_root + request.full_path.rstrip("?") if has_page else None
            return redirect(url_for("auth.login", next=back), 303)
        response = make_response(view(user, **arguments))
        response.headers["Cache-Control"] = "no-store"
        return response

    guarded.is_guard = True  # type: ignore[attr-defined]  # for `flask doctor`
    return guarded
