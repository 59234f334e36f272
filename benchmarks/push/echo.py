"""The application, but each WebSocket sends back what it gets, with the code of the application's own (Socket).

For public test suites, which need an echo: `gunicorn benchmarks.push.echo:app`.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from simple_websocket import ConnectionClosed
from wsproto.frame_protocol import CloseReason

from app import create_app
from app.extras.push.websocket import Socket

LONGEST = 64 * 1024 * 1024  # bytes of a message


class Echo:
    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        websocket = Socket(self._environ, longest=LONGEST, allowed=math.inf)
        try:
            while True:
                websocket.send(websocket.receive())
        except (ConnectionClosed, OSError):
            websocket.leave(CloseReason.NORMAL_CLOSURE)
        raise StopIteration


def _echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        return Echo(environ)
    return _application(environ, start_response)


app = create_app()
_application = app.wsgi_app
app.wsgi_app = _echo  # type: ignore[method-assign]
