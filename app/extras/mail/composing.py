"""A mail as the standards want it. Only who writes or sends one imports this: `email` is a megabyte in each process."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from app.extras.mail.messages import SUBJECT_LENGTH
from app.platform.database import utc_now
from config_types import MAILBOX


def identity(sender: Address) -> tuple[str, str]:
    """Message-ID and date of a new mail."""
    return make_msgid(domain=sender.domain), format_datetime(utc_now())


def compose(sender: Address, message_id: str, date: str, to: str, subject: str, text: str) -> EmailMessage:
    """Raises ValueError. The library encodes names and subjects, and lines that are longer than mail may have."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = address(to)
    message["Subject"] = one_line(subject)
    message["Date"] = date
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers (RFC 3834)
    message.set_content(text.encode("utf-8", "replace").decode())
    return message


def one_line(text: str) -> str:
    """Raises ValueError for what would end the header and begin another one."""
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in text):
        raise ValueError("A mail's subject and addresses have no line breaks and no control characters.")
    return text.encode("utf-8", "replace").decode()[:SUBJECT_LENGTH]


def address(text: str) -> Address:
    """Of ops@example.com or Ops <ops@example.com>, the name in any script. Raises ValueError for anything else."""
    found = re.fullmatch(MAILBOX, one_line(text).strip())
    try:
        if found and found[2].isascii():
            return Address(found[1] or "", username=found[2], domain=found[3].encode("idna").decode())
    except ValueError:  # also UnicodeError, of a domain that can not be one
        pass
    raise ValueError(f"{text!r} is no address like ops@example.com.")
