"""Who somebody is: log in, register, log out, and what only those may do who are. Other features import from here."""

from flask import Flask

from app.auth.passwords import hash_password, password_fault
from app.auth.sessions import (
    admin_required,
    current_device,
    current_user,
    end_devices,
    has_ended,
    log_in,
    login_required,
)
from app.auth.views import blueprint, is_unchanged, user_with

__all__ = [
    "admin_required",
    "current_device",
    "current_user",
    "end_devices",
    "has_ended",
    "hash_password",
    "init_app",
    "is_unchanged",
    "log_in",
    "login_required",
    "password_fault",
    "user_with",
]


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/auth")
    app.extensions["who_asks"] = lambda: user.name if (user := current_user()) else ""  # for extras
    app.extensions["is_admin"] = lambda: bool((user := current_user()) and user.is_admin)  # for extras
    app.extensions.setdefault("checks", []).append("app.auth.checks")  # of `flask doctor`, which imports it
    app.extensions.setdefault("open_in_maintenance", []).append("/auth/login")
    app.jinja_env.globals["current_user"] = current_user  # a function: a page that does not ask costs nothing
