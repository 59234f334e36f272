"""Checks of what is done beside requests: mail, live settings. Each looks only where the extra is there."""

import smtplib
import ssl
from typing import Any

from flask import current_app

from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.flags import FLAGS

MAIL_PATIENCE = 1.0  # seconds for each step of the mail server
LOCAL = {"localhost", "127.0.0.1", "::1"}


@check("mail.server", "Mails that nobody takes are tried again for hours, then parked.")
def mail_server_takes_us(deployment: Deployment) -> Finding:
    """Does the mail server let us in?"""
    settings = deployment.settings
    if not settings.MAIL_HOST:
        return skip("MAIL_HOST is not set: mails are logged, and not sent.")
    test = ".venv/bin/flask --app wsgi mail test you@example.com  # says what happened, and what to do"
    try:
        context = ssl.create_default_context()
        implicit = settings.MAIL_TLS == "tls"
        where: dict[str, Any] = {"host": settings.MAIL_HOST, "port": settings.MAIL_PORT, "local_hostname": "localhost"}
        with (
            smtplib.SMTP_SSL(**where, timeout=MAIL_PATIENCE, context=context)
            if implicit
            else smtplib.SMTP(**where, timeout=MAIL_PATIENCE)
        ) as server:
            if settings.MAIL_TLS == "starttls":
                server.starttls(context=context)
            if settings.MAIL_USERNAME and settings.MAIL_PASSWORD:
                server.login(settings.MAIL_USERNAME, settings.MAIL_PASSWORD.get_secret_value())
    except OSError as error:  # SMTPException, and those of TLS and of names, are such
        return warn(f"{settings.MAIL_HOST}:{settings.MAIL_PORT} does not: {error}", test)
    return ok(f"{settings.MAIL_HOST}:{settings.MAIL_PORT} does.")


@check("mail.encrypted", "The password of the mail server, and every mail, is read by everybody on the way.")
def mail_is_encrypted(deployment: Deployment) -> Finding:
    """Is mail handed over encrypted?"""
    settings = deployment.settings
    if not settings.MAIL_HOST:
        return skip("MAIL_HOST is not set.")
    if settings.MAIL_TLS == "off" and settings.MAIL_HOST not in LOCAL:
        seen = f"MAIL_TLS is off, and {settings.MAIL_HOST} is another machine."
        if settings.MAIL_PASSWORD:
            return fail(seen, "MAIL_TLS=starttls")
        return warn(seen, "MAIL_TLS=starttls")
    return ok(f"MAIL_TLS is {settings.MAIL_TLS}.")


@check("mail.admins", "Nobody hears of errors before the first visitor writes.")
def errors_reach_somebody(deployment: Deployment) -> Finding:
    """Do errors reach a person?"""
    settings = deployment.settings
    if settings.ADMINS and not settings.MAIL_HOST:
        return warn("ADMINS are to be told, and MAIL_HOST is not set.", "MAIL_HOST=smtp.example.com")
    if not settings.ADMINS and not settings.SENTRY_DSN:
        return skip("neither ADMINS nor SENTRY_DSN is set; somebody may read the log, or Prometheus may ring.")
    return ok("They do.")


@check("settings.live", "What is in force is what was right before; after the next edit that may be something else.")
def live_settings_are_right(deployment: Deployment) -> Finding:
    """Can the file of the live settings be used, and is the site open?"""
    live: Any = current_app.extensions.get("live_settings")
    if live is None:
        return skip("there are no live settings.")
    live.look()
    if live.fault:
        return warn(f"{live.path} can not be used: {live.fault}", ".venv/bin/flask --app wsgi settings check")
    if live.closed:
        return warn(
            "The site is closed for maintenance.", ".venv/bin/flask --app wsgi settings set maintenance.on false"
        )
    if unknown := [name for name in live.now.flags if name not in FLAGS]:
        lines = "\n".join(f".venv/bin/flask --app wsgi settings unset flags.{name}" for name in unknown)
        return warn(f"Flags that nothing asks for: {', '.join(unknown)}.", lines)
    return ok("It can." if live.path.exists() else "There is none: all have their defaults.")
