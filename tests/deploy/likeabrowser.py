"""Visitors by https: who asks again as browsers do, and who looks at the certificate."""

import http.client
import ssl
from collections.abc import Callable
from typing import Any


def serial(connection: http.client.HTTPSConnection) -> str:
    """Of the certificate that is shown; none, if it is refused."""
    try:
        connection.connect()
        certificate = connection.sock.getpeercert()
    except ssl.SSLCertVerificationError:
        return ""
    finally:
        connection.close()
    return str(certificate["serialNumber"])


class LikeABrowser:
    """Asks once more on a new connection where a used one ended before a byte of the answer came (RFC 9112, 9.3.1).

    nginx before 1.27.4 ends its idle connections at a reload, also those on which a request is on its way just then.
    """

    def __init__(self, connect: Callable[[float], http.client.HTTPConnection], timeout: float) -> None:
        self._connection = connect(timeout)
        self._answered = False

    def request(self, *arguments: Any, **options: Any) -> None:
        self._asked = (arguments, options)
        try:
            self._connection.request(*arguments, **options)
        except ConnectionError:
            self._again()

    def getresponse(self) -> http.client.HTTPResponse:
        try:
            response = self._connection.getresponse()
        except ConnectionError:
            self._again()
            response = self._connection.getresponse()
        self._answered = True
        return response

    def _again(self) -> None:
        assert self._answered, "a new connection ended without an answer"
        self.close()
        arguments, options = self._asked
        self._connection.request(*arguments, **options)

    def close(self) -> None:
        self._answered = False
        self._connection.close()
