from collections.abc import Iterator

import pytest

from tests.deploy.edge import DOMAIN, Edge, edge, let_nginx_read
from tests.deploy.uwsgi.server import Uwsgi, uwsgi


@pytest.fixture(scope="session")
def http() -> Iterator[Uwsgi]:
    """Asked directly; for tests that leave it as it is, and do not want to wait 15 s for a client who is silent."""
    with uwsgi("http", "--socket-timeout", "2") as server:
        yield server


@pytest.fixture(scope="session")
def behind_nginx() -> Iterator[tuple[Edge, Uwsgi]]:
    """groundwork-uwsgi.conf and the uWSGI that it is made for, which runs as root here."""
    with uwsgi("socket", user="root", TRUSTED_PROXIES=1, TRUSTED_HOSTS=DOMAIN) as server:
        let_nginx_read(server.site.instance)
        with edge(server.site.base, server.run, "groundwork-uwsgi.conf", "default.conf") as site:
            yield site, server
