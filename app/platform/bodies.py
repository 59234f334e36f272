"""What a view did not read of a body is read behind a proxy, and dropped: servers reset the connection instead.

The proxy then fails to send the rest, never looks at the answer, and makes it a 502. It has the whole body already, so
that no thread waits for a client here. One that passes a body on as it comes should end slow clients itself.
"""

import contextlib
import time
from typing import Any

_AT_ONCE = 16 * 1024  # bytes
_SECONDS = 5


def read_to_the_end(environ: dict[str, Any], limit: int) -> None:
    """After the answer. Reads no more than `limit` bytes, and begins no read after `_SECONDS`."""
    if environ.get("CONTENT_LENGTH", "") in {"", "0"} and "HTTP_TRANSFER_ENCODING" not in environ:
        return
    until = time.monotonic() + _SECONDS
    with contextlib.suppress(Exception):  # the answer is out: whatever is wrong with the rest is nobody's affair
        while limit > 0 and time.monotonic() < until and (read := environ["wsgi.input"].read(_AT_ONCE)):
            limit -= len(read)
