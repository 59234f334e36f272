"""What the application pushes passes Apache's proxy as it passes nginx."""

from tests.deploy.nginx.push.test_push import (  # noqa: F401
    pytestmark,
    test_a_page_is_told_to_listen_by_websocket,
    test_a_page_of_another_site_is_refused_through_the_proxy,
    test_a_page_of_ours_opens_a_websocket_through_the_proxy,
    test_a_stream_of_events_begins_at_once,
)
