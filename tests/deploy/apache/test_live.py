"""Live events and WebSockets pass Apache's proxy as they pass nginx."""

from tests.deploy.nginx.test_live import (  # noqa: F401
    pytestmark,
    test_a_websocket_echoes,
    test_an_event_arrives_at_once_and_a_silent_stream_stays,
)
