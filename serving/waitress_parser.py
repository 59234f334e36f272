"""What Gunicorn refuses and Waitress 3.0.2 lets through is refused here, so that both servers give one answer.

Two readers of one byte stream that disagree about where a request ends are how requests are smuggled: every rule below
turns an ambiguity into an answer and a closed connection. It must never repair a request, only accept or refuse it.
"""

import re

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestHeaderFieldsTooLarge

# The same numbers as in gunicorn.conf.py and in the nginx, Apache and uWSGI files.
REQUEST_LINE_BYTES = 4094
HEADERS = 100
HEADER_LINE_BYTES = 8190  # with its line end, as Gunicorn counts

REQUEST_LINE = re.compile(
    rb"(?P<method>[!#$%&'*+\-.^_`|~0-9A-Z]+) (?P<target>[\x21-\x7e]+) HTTP/(?P<version>[0-9]\.[0-9])"
)
CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")  # int() itself raises beyond 4,300 digits
SINGLE_HEADERS = (b"host", b"content-length", b"content-type", b"transfer-encoding")


class RequestLineTooLong(BadRequest):  # type: ignore[misc]  # Waitress is not typed
    code = 414
    reason = "URI Too Long"


class StrictRequestParser(HTTPRequestParser):  # type: ignore[misc]
    """Waitress' own parser, run only after the head of the request has passed the rules of RFC 9112."""

    error: BadRequest | None

    def received(self, data: bytes) -> int:
        """Take bytes from the connection; returns how many of them belong to this request."""
        consumed: int = super().received(data)
        if isinstance(self.error, RequestHeaderFieldsTooLarge):
            start = (self.header_plus + data)[: REQUEST_LINE_BYTES + 2]
            if b"\r\n" not in start:  # what filled the buffer was a request line without an end
                self.error = RequestLineTooLong(f"the request line is longer than {REQUEST_LINE_BYTES} bytes")
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Refuse an ambiguous head (400), an oversized one (414, 431); hand any other to Waitress."""
        request_line, *lines = header_plus.rstrip(b"\r\n").split(b"\r\n")
        too_large = size_error(request_line, lines)
        if too_large is not None:
            self.error = too_large
            header_plus = b"GET / HTTP/1.0\r\n"  # as Waitress does: a task needs a parsed request to answer
        elif header_plus != b"GET / HTTP/1.0\r\n":  # Waitress' own stand-in after an oversized head
            version = check_request_line(request_line)
            check_headers(lines, version)
        super().parse_header(header_plus)


def size_error(request_line: bytes, lines: list[bytes]) -> BadRequest | None:
    if len(request_line) > REQUEST_LINE_BYTES:
        return RequestLineTooLong(f"the request line is longer than {REQUEST_LINE_BYTES} bytes")
    if len(lines) > HEADERS:
        return RequestHeaderFieldsTooLarge(f"more than {HEADERS} header fields")
    if any(len(line) + 2 > HEADER_LINE_BYTES for line in lines):
        return RequestHeaderFieldsTooLarge(f"a header field is longer than {HEADER_LINE_BYTES} bytes")
    return None


def check_request_line(line: bytes) -> bytes:
    """Return the protocol version. Only origin-form targets are served (RFC 9112, 3.2), and ``OPTIONS *``."""
    parts = REQUEST_LINE.fullmatch(line)
    if parts is None:
        raise ParsingError("the request line is malformed")
    if parts["version"] not in (b"1.0", b"1.1"):
        raise ParsingError("only HTTP/1.0 and HTTP/1.1 are spoken here")
    if not parts["target"].startswith(b"/") and (parts["method"], parts["target"]) != (b"OPTIONS", b"*"):
        raise ParsingError("the request target does not start with a slash")
    return parts["version"]


def check_headers(lines: list[bytes], version: bytes) -> None:
    """Refuse folded lines, repeated framing headers and framing that two servers could read in two ways."""
    values: dict[bytes, bytes] = {}
    for line in lines:
        if line.startswith((b" ", b"\t")):
            raise ParsingError("a header field is folded over several lines")
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in SINGLE_HEADERS and name in values:
            raise ParsingError(f"{name.decode()} is given twice")
        values[name] = value.strip(b" \t")
    if version == b"1.1" and b"host" not in values:
        raise ParsingError("the host header is missing")
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    if length is not None and not CONTENT_LENGTH.fullmatch(length):
        raise ParsingError("the content-length is not a number of bytes")
    if coding is None:
        return
    if version == b"1.0" or length is not None:
        raise ParsingError("transfer-encoding can not be used with content-length or with HTTP/1.0")
    if not coding or b"," in coding:
        raise ParsingError("transfer-encoding is empty or stacked")
