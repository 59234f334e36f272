"""What an operator runs before, while and after the application is deployed: the checklist as code.

Web workers import no check: `flask doctor` does, and whoever reads its last result reads a file.
"""

from flask import Flask

from app.platform.doctor import command, destructive, migrate, page, settings, start


def init_app(app: Flask) -> None:
    app.cli.add_command(settings.commands)
    app.cli.add_command(start.prepare)
    app.cli.add_command(command.doctor)
    app.cli.add_command(migrate.commands)
    migrate.commands.add_command(destructive.review)
    page.init_app(app)
