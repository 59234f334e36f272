"""Requests that every server in front of the application must refuse, with the status, and their legal neighbours."""


def head(*lines: str, line: str = "GET / HTTP/1.1", host: str | None = "Host: localhost") -> bytes:
    return "\r\n".join([line, *([host] if host else []), *lines, "", ""]).encode("latin-1")


CHUNKED = b"2\r\nhi\r\n0\r\n\r\n"
REFUSED = {
    "content-length and transfer-encoding": (400, head("Content-Length: 3", "Transfer-Encoding: chunked") + CHUNKED),
    "two hosts": (400, head("Host: evil.test")),
    "two content-lengths": (400, head("Content-Length: 2", "Content-Length: 2") + b"hi"),
    "two content-types": (400, head("Content-Type: text/plain", "Content-Type: application/json")),
    "two transfer-encodings": (400, head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + CHUNKED),
    "stacked transfer-encoding": (400, head("Transfer-Encoding: gzip, chunked") + CHUNKED),
    "empty transfer-encoding": (400, head("Transfer-Encoding: ") + CHUNKED),
    "unknown transfer-encoding": (501, head("Transfer-Encoding: xchunked") + CHUNKED),
    "content-length with a sign": (400, head("Content-Length: +2") + b"hi"),
    "content-length of 5000 digits": (400, head("Content-Length: " + "9" * 5000)),
    "folded header": (400, head("X-Long: one", " two")),
    "space before the colon": (400, head("X-Name : one")),
    "chunked in HTTP/1.0": (400, head("Transfer-Encoding: chunked", line="POST / HTTP/1.0") + CHUNKED),
    "HTTP/1.1 without host": (400, head(host=None)),
    "HTTP/9.9": (400, head(line="GET / HTTP/9.9")),
    "HTTP/2.0": (400, head(line="PRI * HTTP/2.0")),
    "no version": (400, head(line="GET /")),
    "words after the version": (400, head(line="GET / HTTP/1.1 x")),
    "asterisk": (400, head(line="GET * HTTP/1.1")),
    "authority": (400, head(line="CONNECT evil.test:443 HTTP/1.1")),
    "absolute address": (400, head(line="GET http://evil.test/ HTTP/1.1")),
    "relative path": (400, head(line="GET foo HTTP/1.1")),
    "control character in the path": (400, head(line="GET /\x00 HTTP/1.1")),
    "lower-case method": (400, head(line="get / HTTP/1.1")),
    "request line of 4095 bytes": (414, head(line="GET /" + "a" * 4081 + " HTTP/1.1")),
    "request line without an end": (414, b"GET /" + b"a" * 65_531),
    "101 headers": (431, head(*[f"X-{number}: y" for number in range(100)])),
    "header of 8191 bytes": (431, head("X: " + "y" * 8186)),
}
ACCEPTED = {
    "plain": head(),
    "HTTP/1.0 without host": head(line="GET / HTTP/1.0", host=None),
    "chunked": head("Transfer-Encoding: chunked", line="POST / HTTP/1.1") + CHUNKED,
    "content-length": head("Content-Length: 2", line="POST / HTTP/1.1") + b"hi",
    "options for the server": head(line="OPTIONS * HTTP/1.1"),
    "request line of 4094 bytes": head(line="GET /" + "a" * 4080 + " HTTP/1.1"),
    "100 headers": head(*[f"X-{number}: y" for number in range(99)]),
    "header of 8190 bytes": head("X: " + "y" * 8185),
}
