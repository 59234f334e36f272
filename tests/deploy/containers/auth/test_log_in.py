"""Somebody registers, logs out and logs in, through compose.yaml's nginx."""

import pytest

from benchmarks.visitor import Visitor
from tests.deploy.containers.site import Site

pytestmark = pytest.mark.timeout(600)


def test_people_log_in_through_nginx(site: Site) -> None:
    typed = "&name=ada&password=correct+horse+battery"
    with Visitor(80, "/auth/register", host=site.docker.address) as visitor:
        assert visitor.send("/auth/register", typed)[0] == 303
    with Visitor(80, "/auth/login", host=site.docker.address) as visitor:
        assert visitor.send("/auth/login", typed)[0] == 303
        assert "ada" in visitor.open("/auth/account")
