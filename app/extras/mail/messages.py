"""A mail, from what was asked for to what the server accepted. It is sent by a job, never in a request.

At least once: a process may die between the server's yes and its own note of it. The mail then goes out a second time
with the same Message-ID, by which most mailboxes show it once.
"""

import logging
import socket
from contextvars import ContextVar

from flask import current_app

from app.platform.tasks import task
from config import Config

SUBJECT_LENGTH = 200  # characters
_log = logging.getLogger("groundwork.mail")
being_sent: ContextVar[bool] = ContextVar("being_sent", default=False)


def send_later(to: str, subject: str, text: str) -> None:
    """What app/platform/mail.py says. Without MAIL_HOST the mail is logged, without its text."""
    from app.extras.mail.composing import address, compose, identity

    settings: Config = current_app.extensions["settings"]
    sender = address(settings.MAIL_FROM or settings.MAIL_USERNAME or f"nobody@{socket.gethostname()}")
    message_id, date = identity(sender)  # made here and not in the job, so that all its tries are one and the same mail
    compose(sender, message_id, date, to, subject, text)  # what is wrong with it is said to who asked for it
    if settings.MAIL_HOST:
        deliver.later(message_id, date, to, subject, text)
        return
    _log.info("MAIL_HOST is unset, so this mail is not sent: %r to %s", subject, to)
    if settings.DEBUG:
        _log.debug("its text: %s", text)


@task(name="mail.deliver", retries=8, delay=30)  # the last try is two hours after the first
def deliver(message_id: str, date: str, to: str, subject: str, text: str) -> None:
    from app.extras.mail import server
    from app.extras.mail.composing import address, compose

    settings: Config = current_app.extensions["settings"]
    if not settings.MAIL_HOST:
        _log.warning("MAIL_HOST was taken away, so a mail is not sent: %r to %s", subject, to)
        return
    being_sent.set(True)
    sender = address(settings.MAIL_FROM or settings.MAIL_USERNAME or "")
    try:
        server.send(settings, compose(sender, message_id, date, to, subject, text))
    except server.RefusedError as refusal:  # another try would be refused, too
        _log.error("a mail is refused for good: %r to %s, %s: %s", subject, to, message_id, refusal)
    else:
        _log.info("a mail is sent: %r to %s, %s", subject, to, message_id)
    finally:
        being_sent.set(False)
