"""Mail: a job sends what app/platform/mail.py asks for; errors are mailed to ADMINS; `flask mail test` tries it."""

import logging

from flask import Flask

from app.extras.mail import commands, messages
from app.extras.mail.errors import ErrorMail
from config import Config


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    app.extensions["send_mail"] = messages.send_later
    app.cli.add_command(commands.mail)
    if settings.MAIL_HOST and settings.ADMINS:
        logging.getLogger().addHandler(ErrorMail(app, settings))  # logs.configure() takes it away again
