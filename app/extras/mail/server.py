"""The conversation with the SMTP server: encrypted unless MAIL_TLS is off, its certificate verified, never for long."""

import contextlib
import smtplib
import socket
import ssl
from email.message import EmailMessage

from config import Config

TIMEOUT = 10  # s that the server may be silent


class RefusedError(Exception):
    """The server will never take this mail (5xx for its recipient or its content)."""


def send(settings: Config, message: EmailMessage) -> None:
    """Returns when the server has accepted it. Raises RefusedError, or OSError for what may pass: try again.

    SMTPException is an OSError, too, as are those of TLS, and of a name that is not found.
    """
    connection = _connect(settings)
    try:
        connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as refusal:
        code, text = next(iter(refusal.recipients.values()))
        if code >= 500:
            raise RefusedError(_said(code, text)) from refusal
        raise
    except smtplib.SMTPDataError as refusal:
        if refusal.smtp_code >= 500:
            raise RefusedError(_said(refusal.smtp_code, refusal.smtp_error)) from refusal
        raise
    finally:
        # Whatever becomes of the farewell: what was accepted must not be sent again for it.
        with contextlib.suppress(OSError):
            connection.quit()
        connection.close()


def own_name() -> str:
    """Not the fully qualified name, which smtplib would ask the DNS for, for up to a minute."""
    return socket.gethostname()


def _connect(settings: Config) -> smtplib.SMTP:
    host, port, name = str(settings.MAIL_HOST), settings.MAIL_PORT, own_name()
    trusted = ssl.create_default_context()  # verifies the certificate and its name
    if settings.MAIL_TLS == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, name, timeout=TIMEOUT, context=trusted)
    else:
        connection = smtplib.SMTP(host, port, name, timeout=TIMEOUT)
    try:
        if settings.MAIL_TLS == "starttls":
            connection.starttls(context=trusted)
        if settings.MAIL_USERNAME and settings.MAIL_PASSWORD:
            connection.login(settings.MAIL_USERNAME, settings.MAIL_PASSWORD.get_secret_value())
    except BaseException:
        connection.close()
        raise
    return connection


def _said(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


def explain(error: OSError | RefusedError) -> str:
    """What happened, and what to do about it."""
    said = str(error)
    if isinstance(error, smtplib.SMTPResponseException):
        said = _said(error.smtp_code, error.smtp_error)
    elif isinstance(error, smtplib.SMTPRecipientsRefused):
        said = "; ".join(_said(code, text) for code, text in error.recipients.values())
    return f"{said.strip() or type(error).__name__}. {_remedy(error)}"


def _remedy(error: OSError | RefusedError) -> str:
    remedies: dict[type[Exception], str] = {
        RefusedError: "Is the address right? Else the server does not like the sender: see MAIL_FROM.",
        socket.gaierror: "MAIL_HOST is no name that the DNS knows.",
        ssl.SSLCertVerificationError: "Set MAIL_HOST to the name in the server's certificate. "
        "For an authority of your own: SSL_CERT_FILE=/path/to/authority.pem in the environment.",
        ssl.SSLError: "The server speaks no TLS there: MAIL_TLS=starttls with port 587, tls with port 465.",
        ConnectionRefusedError: "Nobody listens there: MAIL_PORT is 587 with starttls, 465 with tls.",
        TimeoutError: "A firewall may be in between: many providers block port 25; 587 is open. "
        "At port 465, MAIL_TLS must be tls.",
        smtplib.SMTPAuthenticationError: "MAIL_USERNAME or MAIL_PASSWORD is wrong. Some providers want a password for "
        "applications.",
        smtplib.SMTPNotSupportedError: "The server does not offer what is asked of it. Without STARTTLS: MAIL_TLS=tls "
        "with port 465, or off on this machine. Without AUTH: unset MAIL_USERNAME.",
        smtplib.SMTPSenderRefused: "Set MAIL_FROM to an address that this user may send from.",
        smtplib.SMTPRecipientsRefused: "The server takes no mail for this address now. It is tried again in a job.",
        smtplib.SMTPServerDisconnected: "The server hung up. At port 465, MAIL_TLS must be tls; at 587, starttls.",
    }
    return next((text for kind, text in remedies.items() if isinstance(error, kind)), "See MAIL_HOST and MAIL_PORT.")
