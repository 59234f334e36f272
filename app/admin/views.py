import os
import platform
import time
from importlib.metadata import version as version_of
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from app.auth import admin_required, end_devices, has_ended
from app.auth.models import Device, User, lowered
from app.extensions import cache, db
from app.platform import migrations
from app.platform.database import utc_now, write_unit
from app.platform.errors import AppError
from app.platform.version import version
from config import Config

PAGE = 50  # users on a page
_STARTED = utc_now()  # this process, or the one that it was forked from

blueprint = Blueprint("admin", __name__, template_folder="templates")


@blueprint.get("/")
@admin_required
def index(_: User) -> str:
    return render_template("admin/index.html", instance=_status())


@blueprint.get("/users")
@admin_required
def users(_: User) -> str:
    """By name, from `?after=<name>`; with `?q=` those whose name begins so."""
    # PostgreSQL can not even be asked for a NUL.
    query, after = (request.args.get(name, "")[:200].replace("\0", "\ufffd") for name in ("q", "after"))
    query = lowered(query)
    devices = select(func.count()).where(Device.user_id == User.id, ~has_ended()).scalar_subquery().label("devices")
    wanted = select(User, devices).where(User.name > after).order_by(User.name).limit(PAGE + 1)
    if query:
        wanted = wanted.where(User.name.startswith(query, autoescape=True))
    found = db.session.execute(wanted).all()
    more = found[PAGE - 1].User.name if len(found) > PAGE else None
    return render_template("admin/users.html", users=found[:PAGE], more=more, query=query)


@blueprint.post("/users/<key:user_id>/disable")
@admin_required
def disable(admin: User, user_id: int) -> Response:
    """Ends all sessions too; the tokens of a disabled user open nothing."""
    if user_id == admin.id:
        raise AppError("You can not disable yourself: nobody could undo it.", 409)
    with write_unit():
        name = _set_disabled(user_id, True)
        end_devices(user_id)
    return _back(f"{name} is disabled, and logged out everywhere.")


@blueprint.post("/users/<key:user_id>/enable")
@admin_required
def enable(_: User, user_id: int) -> Response:
    with write_unit():
        name = _set_disabled(user_id, False)
    return _back(f"{name} can log in again.")


@blueprint.post("/users/<key:user_id>/end-sessions")
@admin_required
def end_sessions(_: User, user_id: int) -> Response:
    with write_unit():
        name = _existing(user_id).name
        end_devices(user_id)
    return _back(f"{name} is logged out everywhere.")


def _existing(user_id: int) -> User:
    user = db.session.get(User, user_id)
    if user is None:
        raise AppError("There is no such user.", 404)
    return user


def _set_disabled(user_id: int, value: bool) -> str:
    user = _existing(user_id)
    user.is_disabled = value
    return user.name


def _back(message: str) -> Response:
    flash(message)
    return redirect(url_for("admin.users", q=request.args.get("q")), 303)


def _status() -> dict[str, dict[str, Any]]:
    """Headings with names and values, as this worker sees them."""
    settings: Config = current_app.extensions["settings"]
    workers = settings.WORKERS or "one for each CPU"
    started = time.time()
    with db.engine.connect() as connection:
        state = migrations.state(connection)
        users_now = connection.execute(select(func.count()).select_from(User)).scalar()
    database = {"Kind": db.engine.dialect.name, "Migrations": state, "Answers in": _milliseconds(started)}
    started = time.time()
    works = cache.set("admin status", started, timeout=10) and cache.get("admin status") == started
    return {
        "Release": {
            "Version": version(),
            "Environment": settings.APP_ENV,
            "Python": platform.python_version(),
            "Flask": version_of("flask"),
        },
        "Workers": {
            "Server": request.environ.get("SERVER_SOFTWARE", "unknown"),
            "Processes": workers,
            "Threads in each": settings.THREADS,
            "This process": os.getpid(),
            "Loaded": _STARTED,
        },
        "Database": database | {"Users": users_now},
        "Cache": {
            "Kind": "redis" if settings.REDIS_URL else "sqlite",
            "Works": "yes" if works else "no: every read is a miss",
            "Answers in": _milliseconds(started),
        },
    }


def _milliseconds(started: float) -> str:
    return f"{(time.time() - started) * 1000:.1f} ms"
