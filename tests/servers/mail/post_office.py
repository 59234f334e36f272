"""An SMTP server of a test, and the instance of an application that sends through it."""

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.deploy.authority import Authority
from tests.servers.running import free_port

USER, PASSWORD = "shop", "open sesame"


class PostOffice:
    """Takes mail on `port`. `refuse` says what is answered to a recipient; `before_yes` runs before it accepts."""

    def __init__(self, port: int, **options: Any) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.encrypted: list[bool] = []
        self.users: list[object] = []
        self.refuse: dict[str, str] = {}
        self.before_yes: Callable[[], None] = lambda: None
        self.arrived = threading.Event()
        self._options = options

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if answer := self.refuse.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.raw.append(envelope.content)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.encrypted.append(session.ssl is not None or "ssl_context" in self._options)
        self.users.append(session.auth_data)
        self.arrived.set()
        await asyncio.get_running_loop().run_in_executor(None, self.before_yes)
        return self.refuse.get("DATA", "250 accepted")

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **self._options)
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def ids(self) -> list[str]:
        return [str(mail["Message-ID"]) for mail in self.mails]

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    def wait_for(self, count: int, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while len(self.mails) < count:
            assert time.monotonic() < until, f"{len(self.mails)} of {count} mails came: {self.subjects()}"
            time.sleep(0.05)


def _check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False, auth_data=USER if good else None)


@contextlib.contextmanager
def post_office(
    authority: Authority | None = None, folder: Path | None = None, tls: bool = False
) -> Iterator[PostOffice]:
    """With an authority it wants STARTTLS, then the user and password above. `tls`: encrypted from the first byte."""
    options: dict[str, Any] = {}
    if authority and folder:
        authority.issue(folder, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")
        options = {"ssl_context": context} if tls else {"tls_context": context, "require_starttls": True}
        options |= {"authenticator": _check, "auth_required": True, "auth_require_tls": not tls}
    office = PostOffice(free_port(), **options)
    office.start()
    try:
        yield office
    finally:
        with contextlib.suppress(Exception):
            office.stop()
