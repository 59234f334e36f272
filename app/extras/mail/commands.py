"""`flask mail test`: sends one mail at once, and says what happened and what to do about it."""

import click
from flask import current_app
from flask.cli import AppGroup

from app.platform.version import version
from config import Config

mail = AppGroup("mail", help="Mail.")


class Failed(click.ClickException):
    exit_code = 2


@mail.command()
@click.argument("address")
def test(address: str) -> None:
    """Send a mail to ADDRESS at once, without a job. Exit code 2: it was not accepted."""
    from app.extras.mail import composing, server

    settings: Config = current_app.extensions["settings"]
    if not settings.MAIL_HOST:
        raise Failed("MAIL_HOST is unset, so no mail is sent. Set it in .env, and what else the server wants: MAIL_…")
    sender = composing.address(settings.MAIL_FROM or settings.MAIL_USERNAME or "")
    subject = f"{settings.APP_NAME} can send mail"
    text = f"`flask mail test` has sent this on {server.own_name()}, version {version()}. Nothing is to be done."
    try:
        message_id, date = composing.identity(sender)
        message = composing.compose(sender, message_id, date, address, subject, text)
        click.echo(f"From {message['From']} to {message['To']}, by {settings.MAIL_HOST}:{settings.MAIL_PORT} …")
        server.send(settings, message)
    except (OSError, server.RefusedError) as error:  # first: an error of a certificate is a ValueError, too
        raise Failed(f"It was not accepted: {server.explain(error)}") from error
    except ValueError as error:
        raise Failed(str(error)) from error
    how = {"starttls": "encrypted (STARTTLS)", "tls": "encrypted", "off": "NOT encrypted (MAIL_TLS=off)"}
    click.echo(f"The server has accepted it, {how[settings.MAIL_TLS]}: {message_id}. Is it there, and not in spam?")
    if not current_app.extensions.get("enqueue"):
        click.echo("JOBS is off: other mail is sent within the request that asks for it, and errors are not mailed.")
