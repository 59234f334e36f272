"""Mail for features: they say what to send to whom, and know nothing of who sends it (extras/mail, in a job)."""

import logging

from flask import current_app

_log = logging.getLogger("groundwork.mail")


def send_mail(to: str, subject: str, text: str) -> None:
    """Has it sent soon, at least once. `to` is ops@example.com or Ops <ops@example.com>.

    In a write_unit() it is sent if and only if the unit commits. Raises ValueError for what no mail can have: an
    address that is none, line breaks in the subject.
    """
    if send := current_app.extensions.get("send_mail"):
        send(to, subject, text)
    else:
        _log.warning("nobody here sends mail: %r to %s", subject, to)
