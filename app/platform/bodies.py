"""What a view did not read of a body is read behind a proxy, and dropped: servers reset the connection instead.

The proxy then fails to send the rest, never looks at the answer, and makes it a 502. It has the whole body already, so
that no thread waits for a client here.
"""

import contextlib
from typing import Any

_AT_ONCE = 64 * 1024  # bytes


def read_to_the_end(environ: dict[str, Any], limit: int) -> None:
    """After the answer. Reads no more than `limit` bytes."""
    if environ.get("CONTENT_LENGTH", "") in {"", "0"} and "HTTP_TRANSFER_ENCODING" not in environ:
        return
    with contextlib.suppress(Exception):  # the answer is out: whatever is wrong with the rest is nobody's affair
        while limit > 0 and (read := environ["wsgi.input"].read(_AT_ONCE)):
            limit -= len(read)
