"""The two shipped files together: groundwork-uwsgi.conf of nginx and the section `socket` of uWSGI's."""

from pathlib import Path

from tests.deploy.edge import Edge
from tests.deploy.uwsgi.server import Uwsgi


def test_a_page_comes_from_uwsgi_and_its_log_has_nginx_id(behind_nginx: tuple[Edge, Uwsgi]) -> None:
    site, server = behind_nginx
    answer = site.get("/about", headers={"X-Forwarded-For": "6.6.6.6"})
    (line,) = [line for line in server.access_lines() if line["request_id"] == answer["X-Request-ID"]]
    assert (answer.status, line["client"], line["pid"] in server.workers()) == (200, "127.0.0.1", True)


def test_as_many_headers_as_nginx_takes_reach_the_application(behind_nginx: tuple[Edge, Uwsgi]) -> None:
    headers = {f"X-{number}": "y" * 8000 for number in range(3)}
    assert behind_nginx[0].get("/about", headers=headers).status == 200


def test_only_the_proxys_group_may_connect(behind_nginx: tuple[Edge, Uwsgi]) -> None:
    bound: Path = behind_nginx[1].run / "uwsgi.sock"
    assert (bound.group(), bound.stat().st_mode & 0o777) == ("www-data", 0o660)
