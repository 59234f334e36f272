"""A post with an image through uWSGI, asked directly and behind nginx."""

import http.client

from tests.deploy.edge import Edge
from tests.deploy.posts.publishing import Author
from tests.deploy.uwsgi.server import Uwsgi


def test_somebody_publishes_a_post_with_an_image(http: Uwsgi) -> None:
    with Author(http_connection(http.port), "ada") as ada:
        ada.publish("Through uWSGI")


def test_somebody_publishes_a_post_with_an_image_behind_nginx(behind_nginx: tuple[Edge, Uwsgi]) -> None:
    with Author(behind_nginx[0].connection(), "grace") as grace:
        grace.publish("Through nginx and uWSGI")


def http_connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)
