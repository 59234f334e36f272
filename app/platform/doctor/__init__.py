"""What an operator runs before, while and after the application is deployed: the checklist as code."""

from flask import Flask

from app.platform import migrations
from app.platform.doctor import destructive, settings, start


def init_app(app: Flask) -> None:
    app.cli.add_command(settings.commands)
    app.cli.add_command(start.prepare)
    migrations.commands.add_command(destructive.review)
