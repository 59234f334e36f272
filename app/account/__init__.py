"""One's own account: making it, where one is logged in, a new password. And `flask users`, for the operator."""

from flask import Flask

from app.account import export, tokens
from app.account.commands import commands
from app.account.devices import device_name
from app.account.views import blueprint


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/auth")
    app.register_blueprint(tokens.blueprint, url_prefix="/auth/account/tokens")
    app.register_blueprint(export.blueprint, url_prefix="/auth/account/export")
    own = {"account": export.own_rows, "devices": export.own_devices, "tokens": export.own_tokens}
    app.extensions.setdefault("personal_data", {}).update(own)
    app.jinja_env.filters["device_name"] = device_name
    app.cli.add_command(commands)
