"""Pages that are open show what is new: by WebSocket, by server-sent events, by asking, and after a reload."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT, environment, flask, gunicorn
from tests.browser.auth.people import add_admin, log_in
from tests.browser.conftest import assert_sound, sync_api
from tests.servers.running import Running, wait_until

pytest.importorskip("app.posts")
pytest.importorskip("app.extras.jobs")

OpenPage = Callable[..., Any]
NO_WEBSOCKET = """
window.WebSocket = class {
  constructor() { setTimeout(() => this.onerror()); }
  close() {}
}
"""
JOB = """
import sys
from wsgi import app
from app.extensions import db
from app.extras.jobs.models import Job
from app.extras.worker.work import current, tell_progress
from app.platform.database import write_unit
with app.app_context():
    if sys.argv[1] == "made":
        with write_unit():
            db.session.add(Job(id="0123abcd0123abcd0123abcd0123abcd", task="a", state="running", due=0.0))
    elif sys.argv[1] == "done":
        with write_unit():
            db.session.get(Job, "0123abcd0123abcd0123abcd0123abcd").state = "done"
    else:
        current.set("0123abcd0123abcd0123abcd0123abcd")
        tell_progress(int(sys.argv[1]), "Counting")
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    flask(folder, "db", "upgrade")
    add_admin(folder)
    return folder


@pytest.fixture(scope="module")
def server(instance: Path) -> Iterator[Running]:
    options = ["-w", "2", "--pid", str(instance / "pid")]
    with gunicorn(instance, *options, application="wsgi:app") as running:
        yield running


@pytest.fixture
def site(server: Running) -> str:
    return f"http://127.0.0.1:{server.port}"


def run(instance: Path, code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment(instance), check=True)


def write(page: Any, site: str, title: str) -> None:
    page.goto(f"{site}/posts/new")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Text").fill("Some text.")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("status").wait_for()


@pytest.mark.parametrize("way", ["websocket", "stream", "asking"])
def test_a_new_post_appears_on_a_page_that_is_open(open_page: OpenPage, site: str, way: str) -> None:
    reader = open_page("about:blank")
    if way != "websocket":
        reader.add_init_script(NO_WEBSOCKET)
    if way == "asking":
        reader.add_init_script("window.EventSource = window.WebSocket")
    sockets: list[str] = []
    reader.on("websocket", lambda socket: sockets.append(socket.url))
    reader.goto(f"{site}/posts/")
    wait_until(lambda: reader.wait_for_timeout(50) or len(reader.addresses) > 3, 10)
    write(log_in(open_page(site), site), site, f"News by {way}")
    reader.get_by_role("link", name=f"1 new post: News by {way}").wait_for(timeout=15_000)
    assert bool(sockets) == (way == "websocket")
    assert any("/events?" in address for address in reader.addresses) == (way == "stream")
    assert_sound(reader, site)
    reader.get_by_role("link", name="1 new post").click()
    reader.get_by_role("link", name=f"News by {way}").first.wait_for()
    assert not reader.get_by_role("link", name="1 new post").count()


def test_the_news_fit_every_window(open_page: OpenPage, site: str, window: dict) -> None:
    reader = open_page(f"{site}/posts/", **window)
    write(log_in(open_page(site), site), site, "A title that is rather long, so that it has to wrap on a telephone")
    reader.get_by_role("link", name="1 new post").wait_for(timeout=15_000)
    assert_sound(reader, site)


def test_the_bar_of_a_job_moves_and_the_page_shows_its_end(
    open_page: OpenPage, site: str, window: dict, instance: Path
) -> None:
    run(instance, JOB.replace("db.session.add", "db.session.merge"), "made")
    page = open_page(f"{site}/jobs/0123abcd0123abcd0123abcd0123abcd", **window)
    seen: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: seen.append(frame)))
    page.reload()
    wait_until(lambda: page.wait_for_timeout(50) or seen, 10)
    run(instance, JOB, "40")
    sync_api.expect(page.locator("progress")).to_have_js_property("value", 40, timeout=10_000)
    wait_until(lambda: page.wait_for_timeout(50) or any('"progress":40' in frame for frame in seen), 10)
    assert page.get_by_text("Counting").is_visible()
    assert_sound(page, site)
    run(instance, JOB, "done")
    page.get_by_role("heading", name="Done").wait_for(timeout=10_000)


def test_a_page_comes_back_after_a_reload_of_the_server(
    open_page: OpenPage, instance: Path, site: str, server: Running
) -> None:
    reader, writer = open_page(f"{site}/posts/"), log_in(open_page(site), site)
    sockets: list[str] = []
    reader.on("websocket", lambda socket: sockets.append(socket.url))
    reader.reload()
    wait_until(lambda: reader.wait_for_timeout(50) or sockets, 10)
    os.kill(server.process.pid, signal.SIGUSR2)
    successor = int(wait_until(lambda: _text(instance / "pid.2"), 20))
    try:
        reader.wait_for_timeout(1000)
        server.process.terminate()
        assert server.end(30) == 0
        write(writer, site, "News of the successor")
        reader.get_by_role("link", name="1 new post: News of the successor").wait_for(timeout=15_000)
        wait_until(lambda: reader.wait_for_timeout(50) or len(sockets) > 1, 10)
    finally:
        os.kill(successor, signal.SIGTERM)


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
