"""What a client says about itself in a header is never believed, whichever way the application is asked."""

import json

import pytest

from tests.deploy.apache.conftest import Way
from tests.deploy.impression import FORGED, impression
from tests.deploy.nginx.test_trust import FORGED as ALL_FORGED


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_header_is_never_believed(name: str, way: Way) -> None:
    seen, unforged = (impression(way.site.connection(), way.log, headers) for headers in ({name: FORGED[name]}, {}))
    assert seen == unforged
    assert unforged[1:3] == ("/auth/login?next=/posts/new", "__Host-groundwork"), "it knows that it is encrypted"
    assert unforged[4] == "127.0.0.1"


@pytest.mark.parametrize("name", ALL_FORGED)
def test_gunicorn_does_not_even_get_it(name: str, proxy: Way) -> None:
    seen, unforged = (
        json.loads(proxy.site.get("/received", headers={"User-Agent": "test"} | headers).body)
        for headers in ({name: ALL_FORGED[name]}, {})
    )
    for received in (seen, unforged):
        received.pop("HTTP_CONNECTION", None)  # between Apache and Gunicorn
    assert seen == unforged


def test_a_client_does_not_choose_the_id_of_its_request(way: Way) -> None:
    assert (
        way.site.get("/about", headers={"X-Request-ID": "chosen-by-a-client"})["X-Request-ID"] != "chosen-by-a-client"
    )


def test_the_token_of_a_program_reaches_the_application(way: Way) -> None:
    answer = way.site.get("/api/v1/posts", headers={"Authorization": "Bearer no-such-token"})
    assert answer.status == 401
