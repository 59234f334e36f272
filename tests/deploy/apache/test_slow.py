"""A thousand clients that are slow on purpose do not keep the others from being served, whichever way."""

import functools
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.load import Load
from tests.deploy.apache.conftest import Way
from tests.deploy.edge import Edge
from tests.deploy.likeabrowser import LikeABrowser
from tests.deploy.nginx.test_slow import COUNT, IMAGE, SECONDS, slow_body, slow_clients, slow_headers, slow_reading


@pytest.mark.parametrize("slow", [slow_headers, slow_body, slow_reading], ids=lambda slow: slow.__name__)
def test_a_thousand_slow_clients_cost_the_others_nothing(slow: Callable[[Edge, int], socket.socket], way: Way) -> None:
    image: Path = way.instance / "uploads" / IMAGE
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 4 * 1024**2)
    site = way.site
    with slow_clients(site, slow) as still_there:
        at_first = still_there()
        # A process all of whose threads are taken ends its idle connections: those clients ask again, as browsers do.
        browser = functools.partial(LikeABrowser, site.connection)
        good = Load(0, "/about", "/health", keep_alive=4, close=4, think=0.02, connection=browser)
        result = good.run_for(SECONDS)
    print(slow.__name__, at_first, result)  # noqa: T201 - pytest -s shows it, for docs/apache.md
    # Those with slow headers are let go after 10 s, and a busy machine takes some of them to open a thousand.
    assert at_first >= COUNT * 0.8
    assert result.failed == 0, result
    assert result.answered > 25 * SECONDS
