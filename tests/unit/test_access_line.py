"""The one line that tells of a request: whole, in one piece, and with nothing in it that the client could forge."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from werkzeug.test import Client, EnvironBuilder

from tests.unit.conftest import Echo

Ask = Callable[..., Client]
JSON = {"LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}


def serve(client: Client, **environ: Any) -> None:
    """What a server does with a request: it reads the answer to its end and closes it."""
    body: Any = client.application(EnvironBuilder().get_environ() | environ, lambda *_: None)
    try:
        list(body)
    finally:
        body.close()


@pytest.fixture
def line(capfd: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    def read() -> dict[str, Any]:
        (text,) = capfd.readouterr().err.split("\n")[:-1]
        fields: dict[str, Any] = json.loads(text)
        return fields

    return read


def test_a_request_is_one_line_that_says_what_an_operator_asks(ask: Ask, line: Callable[[], dict[str, Any]]) -> None:
    serve(
        ask(**JSON),
        PATH_INFO="/posts/7",
        REQUEST_METHOD="POST",
        REMOTE_ADDR="1.1.1.1",
        HTTP_USER_AGENT="curl",
        HTTP_X_REQUEST_ID="request-1",
    )
    written = line()
    assert written.pop("pid") > 0
    assert 0 <= written.pop("ms") < 1000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written.pop("time"))
    assert written == {
        "level": "info", "logger": "access", "request_id": "request-1", "method": "POST", "path": "/posts/7",
        "status": 200, "bytes": 4, "client": "1.1.1.1", "agent": "curl",
    }  # fmt: skip


@pytest.mark.parametrize("evil", ['a\r\n{"level":"error"}', 'quo"te', "\x1b[31mred", "back\\slash", "\u2028\x00"])
def test_nobody_can_write_a_line_of_their_own(evil: str, ask: Ask, line: Callable[[], dict[str, Any]]) -> None:
    path = f"/{evil}".encode().decode("latin-1")  # as WSGI carries it
    serve(ask(**JSON), PATH_INFO=path, HTTP_USER_AGENT=evil, REQUEST_METHOD=evil, REMOTE_ADDR=evil)
    written = line()
    assert (written["path"], written["agent"]) == (f"/{evil}", evil)
    assert (written["level"], written["client"]) == ("info", evil)


@pytest.mark.parametrize("character", ["a", "\x00", "\xe4"])
def test_the_longest_line_is_still_written_in_one_piece(
    character: str, ask: Ask, capfd: pytest.CaptureFixture[str]
) -> None:
    text = character * 3000
    serve(ask(**JSON), PATH_INFO=f"/{text}", HTTP_USER_AGENT=text, REQUEST_METHOD=text, HTTP_X_REQUEST_ID="r" * 64)
    written = capfd.readouterr().err
    assert len(written) <= 4096  # PIPE_BUF: what is longer may be mixed with another worker's line
    shown = "\ufffd" if character == "\xe4" else character  # a byte that is no UTF-8
    assert json.loads(written)["path"].startswith(f"/{shown * 249}")


def test_a_path_in_another_script_is_readable(ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    serve(ask(**JSON), PATH_INFO="/größe/名".encode().decode("latin-1"))
    assert json.loads(capfd.readouterr().err)["path"] == "/größe/名"


def test_a_line_in_the_console_is_for_people(ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    serve(ask(LOG_LEVEL="DEBUG"), PATH_INFO="/a\n\x1b[31m", HTTP_X_REQUEST_ID="request-1")
    text = capfd.readouterr().err
    assert re.fullmatch(r"\d\d:\d\d:\d\d 200 GET    /a\\n\\u001b\[31m \d+\.\d ms request-1\n", text)


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_higher_log_level_writes_no_access_lines(level: str, ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    serve(ask(LOG_LEVEL=level, LOG_FORMAT="json"))
    assert capfd.readouterr().err == ""


def test_a_view_that_takes_the_socket_is_logged_as_switched(ask: Ask, line: Callable[[], dict[str, Any]]) -> None:
    serve(ask(lambda environ, start_response: [], **JSON))
    written = line()
    assert (written["status"], written["bytes"]) == (101, None)


def test_a_body_that_breaks_off_is_logged_and_closed(ask: Ask, line: Callable[[], dict[str, Any]]) -> None:
    class Body:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield b"half"
            raise OSError("the client is gone")

        def close(self) -> None:
            self.closed += 1
            raise RuntimeError("and closing fails too")

    body = Body()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("206 Partial Content", [])
        return body

    with pytest.raises(RuntimeError, match="closing fails"):
        serve(ask(application, **JSON))
    assert line()["status"] == 206
    assert body.closed == 1


def test_a_refused_request_is_logged_too(ask: Ask, echo: Echo, line: Callable[[], dict[str, Any]]) -> None:
    serve(ask(**JSON), HTTP_HOST="a@b")
    assert (line()["status"], echo.calls) == (400, 0)


def test_a_prefix_is_part_of_the_logged_path(ask: Ask, line: Callable[[], dict[str, Any]]) -> None:
    serve(ask(TRUSTED_PROXIES=1, **JSON), PATH_INFO="/posts/", HTTP_X_FORWARDED_PREFIX="/myapp")
    assert line()["path"] == "/myapp/posts/"
