"""A post with an image, written and read through Apache."""

from tests.deploy.apache.conftest import Way
from tests.deploy.posts.publishing import Author


def test_somebody_publishes_a_post_with_an_image(way: Way) -> None:
    with Author(way.site.connection(), "ada") as ada:
        image = ada.publish("Through Apache")
    assert way.site.get(image)["X-Request-ID"] == "", "Apache has served it, and not the application"
