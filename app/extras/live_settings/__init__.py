"""Settings that change while the application runs, in every process within 2 s: maintenance, banner, flags, log levels.

They are in a small file, LIVE_SETTINGS, which may be absent. Everything else is in .env, and takes scripts/reload.sh.
"""

from flask import Flask

from app.extras.live_settings import commands, maintenance, views
from app.extras.live_settings.live import Live
from config import Config


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    live = Live(app, settings.INSTANCE_PATH / (settings.LIVE_SETTINGS or "live.toml"))
    app.extensions["live_settings"] = app.jinja_env.globals["live_settings"] = live
    app.extensions["look_for_changes"] = live.look_if_due  # for processes without requests, as often as they like
    app.cli.add_command(commands.commands)  # `flask settings`, with ours beside doctor's
    app.register_blueprint(views.blueprint, url_prefix="/admin/live-settings")
    app.extensions["admin_pages"].append(("admin_live_settings.index", "Live settings"))
    app.wsgi_app = maintenance.in_front_of(app.wsgi_app, app, live)  # type: ignore[assignment,method-assign]
