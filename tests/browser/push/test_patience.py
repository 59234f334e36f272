"""What push.js spares the server: tabs that nobody sees, second connections, questions that it was asked to put off."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT, environment, flask, gunicorn
from tests.servers.running import wait_until

pytest.importorskip("app.posts")

OpenPage = Callable[..., Any]
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
PUBLISH = """
import sys
from wsgi import app
from app.platform.events import publish
with app.app_context():
    publish("posts", {"id": int(sys.argv[1]), "title": "T"})
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patience")
    flask(folder, "db", "upgrade")
    return folder


@pytest.fixture(scope="module")
def site(instance: Path) -> Iterator[str]:
    with gunicorn(instance, "-w", "1", application="wsgi:app") as running:
        yield f"http://127.0.0.1:{running.port}"


def publish(instance: Path) -> None:
    subprocess.run([sys.executable, "-c", PUBLISH, "99"], cwd=ROOT, env=environment(instance), check=True)


class Reader:
    """The list of posts in a browser whose clock can be put forward. What it asks for is noted before it is sent."""

    def __init__(self, page: Any, site: str) -> None:
        self.page, self.opened, self.open = page, 0, set[Any]()
        self._address = f"{site}/posts/"
        page.on("websocket", self._note)
        page.clock.install()

    def _note(self, socket: Any) -> None:
        self.opened += 1
        self.open.add(socket)
        socket.on("close", lambda ended: self.open.discard(ended))

    def look(self) -> None:
        self.page.goto(self._address)

    def asked(self) -> int:
        return sum("/events/since" in address for address in self.page.addresses)

    def wait_until(self, condition: Callable[[], Any]) -> None:
        wait_until(lambda: self.page.wait_for_timeout(50) or condition(), 15)

    def hide(self, hidden: bool) -> None:
        self.page.evaluate(HIDE, hidden)

    def is_told(self) -> None:
        self.page.get_by_role("link", name="new post").wait_for(timeout=10_000)


@pytest.fixture
def reader(open_page: OpenPage, site: str) -> Reader:
    return Reader(open_page("about:blank"), site)


def test_a_page_that_nobody_sees_rests_and_then_gets_what_it_has_missed(reader: Reader, instance: Path) -> None:
    """A browser opens six connections to a server: six hidden streams, and no other page of the site would load."""
    reader.look()
    reader.wait_until(lambda: reader.open)
    reader.hide(True)
    reader.page.clock.fast_forward(5_000)
    assert reader.open, "somebody may come back at once"
    reader.page.clock.fast_forward(6_000)
    reader.wait_until(lambda: not reader.open)
    publish(instance)
    asked = reader.asked()
    reader.page.clock.fast_forward(60_000)
    assert reader.asked() == asked
    reader.hide(False)
    reader.is_told()
    reader.wait_until(lambda: reader.open)


def test_a_page_that_is_opened_in_the_background_begins_there(reader: Reader, instance: Path) -> None:
    reader.page.add_init_script("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    reader.look()
    reader.wait_until(lambda: reader.asked() == 1)
    reader.page.wait_for_timeout(1000)
    publish(instance)
    reader.page.clock.fast_forward(300_000)
    assert (reader.asked(), reader.opened) == (1, 0)
    reader.hide(False)
    reader.is_told()


def test_a_page_has_one_connection_however_often_it_is_hidden_and_seen(reader: Reader) -> None:
    held: list[Any] = []
    reader.page.route("**/events/since*", lambda route: held.append(route))
    reader.look()
    reader.wait_until(lambda: held)
    for hidden in (True, False, True, False):
        reader.hide(hidden)
        reader.page.wait_for_timeout(100)
    for question in held:
        question.continue_()
    reader.wait_until(lambda: reader.open)
    reader.page.wait_for_timeout(1000)
    assert (len(held), reader.opened) == (1, 1)


def test_a_connection_that_is_dead_is_noticed(reader: Reader) -> None:
    """As after a sleep, or behind a NAT that has forgotten it: nothing comes any more, not even its end."""
    reader.page.route_web_socket("**/ws*", lambda socket: None)
    reader.look()
    reader.wait_until(lambda: reader.asked() == 1)
    reader.page.wait_for_timeout(500)
    reader.page.clock.fast_forward(30_000)
    reader.page.wait_for_timeout(500)
    assert reader.asked() == 1
    reader.page.clock.fast_forward(11_000)
    reader.page.clock.fast_forward(2_000)
    reader.wait_until(lambda: reader.asked() == 2)


def test_a_server_is_asked_again_when_it_wants_to_be(reader: Reader) -> None:
    reader.page.route("**/events/since*", lambda route: route.fulfill(status=503, headers={"Retry-After": "30"}))
    reader.look()
    reader.wait_until(lambda: reader.asked() == 1)
    reader.page.wait_for_timeout(200)
    for _ in range(2):
        reader.page.clock.fast_forward(14_000)
        reader.page.wait_for_timeout(200)
    assert reader.asked() == 1
    reader.page.clock.fast_forward(10_000)
    reader.wait_until(lambda: reader.asked() == 2)


def test_room_is_looked_for_again_where_there_was_none(reader: Reader) -> None:
    """One worker may be full, and the next one not."""
    is_full = True
    tried: list[Any] = []

    def answer(socket: Any) -> None:
        tried.append(socket)
        socket.close() if is_full else socket.connect_to_server()

    reader.page.route_web_socket("**/ws*", answer)
    reader.page.route("**/events?*", lambda route: route.fulfill(status=204))
    reader.look()
    reader.wait_until(lambda: tried)
    is_full = False
    for _ in range(10):
        reader.page.clock.fast_forward(2_000)
        reader.page.wait_for_timeout(200)
    assert len(tried) == 2


def test_a_page_that_was_away_for_too_long_says_that_there_may_be_more(reader: Reader) -> None:
    answer = {"id": "5-0", "by": "asking", "lost": True, "events": []}
    reader.page.route("**/events/since*", lambda route: route.fulfill(json=answer))
    reader.look()
    reader.page.get_by_role("link", name="There may be new posts").wait_for()
