"""What a feature may ask to be mailed, what becomes of it without a server, and which errors are mailed."""

import logging
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, default

import pytest
from flask import Flask
from sqlalchemy import text

from app.extensions import db
from app.extras.mail import composing, messages
from app.extras.mail.errors import ErrorMail
from app.platform.database import write_unit
from app.platform.mail import send_mail

SHOP = Address("Grün, Werk", "shop", "example.com")
MAILED = {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": 1, "MAIL_FROM": "Shop <shop@example.com>", "JOBS": "external"}


def composed(to: str = "ops@example.com", subject: str = "Hello", body: str = "text") -> EmailMessage:
    return composing.compose(SHOP, "<1@example.com>", "Sat, 21 Nov 2026 12:00:00 -0000", to, subject, body)


@pytest.fixture
def mailing(make_app: Callable[..., Flask]) -> Flask:
    return make_app(**MAILED)


def jobs(app: Flask) -> list[str]:
    for extra in ("jobs", "worker"):
        pytest.importorskip(f"app.extras.{extra}", reason="without it mail is sent at once")
    with app.app_context():
        return list(db.session.scalars(text("SELECT arguments FROM jobs ORDER BY due")))


@pytest.mark.parametrize("to", ["ops@example.com", "Ops Büro <ops@example.com>", '"Ops, Büro" <ops@bücher.example>'])
def test_names_subjects_and_long_lines_arrive_as_they_were_written(to: str) -> None:
    subject, body = "Grüße " + "x" * 150, "ein langer Satz mit Umlauten äöü " * 100 + "\n" + "y" * 3000 + "\n"
    data = composed(to, subject, body).as_bytes()
    assert data.isascii()
    assert max(map(len, data.splitlines())) <= 998  # bytes (RFC 5322)
    read = message_from_bytes(data, policy=default)
    assert read["From"].addresses[0].display_name == "Grün, Werk"
    assert "".join(read["Subject"].split()) == "".join(subject.split())
    assert read.get_content().replace("\r\n", "\n") == body
    assert read["To"].addresses[0].domain in {"example.com", "xn--bcher-kva.example"}


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("ops@example.com", "Hello\nBcc: all@example.com"),
        ("ops@example.com", "Hello\r\n\r\nanother text"),
        ("ops@example.com\nBcc: all@example.com", "Hello"),
        ("Ops\r <ops@example.com>", "Hello"),
        ("ops@example.com, all@example.com", "Hello"),
        ("nobody", "Hello"),
        ("ops@", "Hello"),
        ("ops@exa mple.com", "Hello"),
        ("ops@" + "a" * 70 + ".com", "Hello"),
    ],
)
def test_what_would_be_another_header_or_is_no_address_is_refused_at_once(
    mailing: Flask, to: str, subject: str
) -> None:
    with mailing.app_context(), pytest.raises(ValueError, match=r"line breaks|no address"):
        send_mail(to, subject, "text")
    assert jobs(mailing) == []


def test_a_mail_is_sent_if_and_only_if_the_unit_commits(mailing: Flask) -> None:
    def fail() -> None:
        with write_unit():
            send_mail("ops@example.com", "lost", "text")
            raise LookupError

    assert jobs(mailing) == []
    with mailing.app_context():
        with pytest.raises(LookupError):
            fail()
        with write_unit():
            send_mail("ops@example.com", "kept", "text")
    (arguments,) = jobs(mailing)
    assert '"kept"' in arguments
    assert "@example.com>" in arguments  # its Message-ID


def test_without_a_server_it_is_logged_without_its_text(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with app.app_context():
        send_mail("ops@example.com", "Your new password", "it is hunter2")
    assert "'Your new password' to ops@example.com" in caplog.text
    assert "hunter2" not in caplog.text
    assert jobs(app) == []


def test_a_mail_has_what_programs_want_to_see() -> None:
    message = composed()
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<1@example.com>"
    assert message.policy is SMTP


@pytest.fixture
def watched(make_app: Callable[..., Flask]) -> Flask:
    return make_app(**MAILED, ADMINS=("ops@example.com",), ERROR_MAILS_PER_HOUR=2)


def after(app: Flask, log: Callable[[], None]) -> list[str]:
    """What mails are to be sent after `log`."""
    log()
    (handler,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, ErrorMail)]
    handler.flush()
    return [arguments for arguments in jobs(app) if '"ops@example.com"' in arguments]


def test_an_error_within_the_sending_of_mail_is_not_mailed(watched: Flask) -> None:
    def log() -> None:
        logging.getLogger("groundwork.mail").error("a mail is refused for good")
        logging.getLogger("groundwork.jobs").error("%s failed and is parked", messages.deliver.name)
        messages.being_sent.set(True)
        logging.getLogger("sqlalchemy.pool").error("while a mail is sent")
        messages.being_sent.set(False)
        logging.getLogger("gunicorn.error").critical("a worker is stuck")
        logging.getLogger("shop").warning("no error")

    assert after(watched, log) == []


def test_no_more_mails_than_an_hour_has_places_for(watched: Flask, caplog: pytest.LogCaptureFixture) -> None:
    def log() -> None:
        for number in range(5):
            logging.getLogger(f"shop{number}").error("it can not be sold")

    first, last = after(watched, log)
    assert "last error mail for now" not in first
    assert "This is the last error mail for now: 2 within an hour are enough" in last
    assert "2 error mails within an hour are enough; see the log" in caplog.text


def test_secrets_and_line_breaks_do_not_get_into_an_error_mail(watched: Flask) -> None:
    def log() -> None:
        logging.getLogger("shop").error("password=hunter2\nBcc: all@example.com")

    (mail,) = after(watched, log)
    assert "hunter2" not in mail
    assert "Groundwork: password=*** Bcc: all@example.com" in mail


class OfTheThread:
    """As flask-login's current_user, or a row of a request's session: it can only be read where it is logged."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def __str__(self) -> str:
        return "ada" if threading.get_ident() == self._thread else "nobody"


def test_an_error_mail_says_what_the_line_said_where_it_was_logged(watched: Flask) -> None:
    (mail,) = after(watched, lambda: logging.getLogger("shop").error("%s can not buy", OfTheThread()))
    assert "ada can not buy" in mail


class Unreadable:
    def __str__(self) -> str:
        raise LookupError("no such row")


def test_an_error_that_can_not_be_read_costs_no_other_its_mail(watched: Flask) -> None:
    def log() -> None:
        (handler,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, ErrorMail)]
        handler.handle(logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "%s", (Unreadable(),), None))
        logging.getLogger("shop").error("it can not be sold")

    (mail,) = after(watched, log)
    assert "it can not be sold" in mail


@pytest.fixture
def without_jobs(make_app: Callable[..., Flask]) -> Flask:
    return make_app(**MAILED | {"JOBS": "off"}, ADMINS=("ops@example.com",))


def test_an_application_without_jobs_has_the_errors_in_its_log(
    without_jobs: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    assert after(without_jobs, lambda: logging.getLogger("shop").error("it can not be sold")) == []
    assert "errors are in the log only for now, no mail can be enqueued: JOBS is off" in caplog.text
