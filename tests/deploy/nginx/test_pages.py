"""nginx' own pages look like the application's, on a telephone and on a desk, in light and in dark."""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.platform import errors
from config import ROOT
from tests.browser.conftest import assert_accessible, assert_focus_is_always_visible
from tests.deploy.edge import Edge, edge
from tests.deploy.nginx.conftest import Front

OpenPage = Callable[..., Any]
SNIPPETS = ROOT / "deploy/nginx/snippets/http.conf"


@pytest.fixture(params=[390, 1280], ids=["telephone", "desk"])
def width(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(params=["light", "dark"])
def window(request: pytest.FixtureRequest, width: int) -> dict[str, Any]:
    viewport = {"width": width, "height": 844}
    return {"viewport": viewport, "color_scheme": request.param, "ignore_https_errors": True}


def look(page: Any) -> dict[str, Any]:
    """What a person notices: the colours and sizes of the parts that both kinds of pages have, and where they begin."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => {
            const parts = [".brand", ".code", "h1", ".lede", ".button", ".hint", "code"];
            const above = document.querySelector("main").getBoundingClientRect().top;
            const look = Object.fromEntries(parts.map(part => {
                const element = document.querySelector(part), style = getComputedStyle(element);
                return [part, [Math.round(element.getBoundingClientRect().left), style.color, style.backgroundColor,
                               style.fontSize, style.fontWeight, style.padding]];
            }));
            look.begins = [".code", "h1"].map(p => document.querySelector(p).getBoundingClientRect().top - above);
            look.background = getComputedStyle(document.documentElement).backgroundColor;
            return look;
        }"""
    )


def test_a_page_of_nginx_looks_like_one_of_the_application(
    open_page: OpenPage, site: Edge, window: dict[str, Any]
) -> None:
    address = f"https://www.example.com:{site.https}/"
    assert look(open_page(address + "a" * 5000, **window)) == look(open_page(f"{address}nothing-here", **window))


@pytest.mark.parametrize("path", ["/", "/auth/login"])
def test_a_page_of_nginx_is_sound(path: str, open_page: OpenPage, closed: Edge, window: dict[str, Any]) -> None:
    page = open_page(f"https://www.example.com:{closed.https}{path}", **window)
    assert page.locator("h1").inner_text() == "Bad Gateway"
    assert [error for error in page.console_errors if "502" not in error] == []  # the content policy lets it be
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert len(page.addresses) == 1
    assert_accessible(page)
    assert_focus_is_always_visible(page)


def test_trying_again_asks_for_the_same_page(open_page: OpenPage, closed: Edge, window: dict[str, Any]) -> None:
    page = open_page(f"https://www.example.com:{closed.https}/anything?q=a", **window)
    with page.expect_request("**/anything?q=a"):
        page.get_by_role("link", name="Try again").click()


def test_what_was_posted_is_not_sent_again_by_a_link(closed: Edge) -> None:
    assert "Try again" in closed.get("/anything").text
    assert "Try again" not in closed.request("POST", "/anything", b"x").text


def test_the_policy_names_the_style_of_the_page() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", (ROOT / "deploy/nginx/pages/error.html").read_text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in SNIPPETS.read_text()


def words(name: str) -> dict[int, str]:
    (block,) = re.findall(
        rf"map \$\w+ \${name} \{{(.*?)\n\}}", SNIPPETS.read_text().replace("$edge_scheme$status", "$status"), re.DOTALL
    )
    return {int(status): text for status, text in re.findall(r'(?m)^\s+~?(\d{3})\$? "(.+)";', block)}


@pytest.mark.parametrize("status", sorted(words("edge_detail").keys() & errors._HINTS.keys() - {503}))
def test_nginx_uses_the_applications_words(status: int) -> None:
    assert words("edge_detail")[status] == errors._HINTS[status]


def test_each_title_has_its_explanation() -> None:
    assert words("edge_title").keys() == words("edge_detail").keys()


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        ("/anything", "text/html,application/json", "text/html; charset=utf-8"),
        ("/anything", "application/json", "application/problem+json"),
        ("/api/v1/anything", "*/*", "application/problem+json"),
        ("/apiary", "*/*", "text/html; charset=utf-8"),
    ],
)
def test_programs_get_a_problem_and_people_a_page(path: str, accept: str, content_type: str, closed: Edge) -> None:
    answer = closed.get(path, headers={"Accept": accept})
    assert (answer.status, answer["Content-Type"]) == (502, content_type)
    if "json" in content_type:
        problem = json.loads(answer.body)
        assert (problem["status"], problem["title"]) == (502, "Bad Gateway")
        assert problem["request_id"] == answer["X-Request-ID"]


@pytest.fixture
def silent(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Iterator[Path]:
    """A folder with a web.sock whose owner takes every request and never answers."""
    folder = run / "silent"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "web.sock"))
        listener.listen()
        (folder / "web.sock").chmod(0o666)
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield folder
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in held:
            connection.close()


def test_an_application_that_takes_too_long_gets_a_page_and_no_second_request(folder: Path, silent: Path) -> None:
    with edge(
        folder, silent, edit=lambda text: text.replace("proxy_read_timeout 60s", "proxy_read_timeout 1s")
    ) as site:
        answer = site.get("/")
        line = site.access_lines(answer)[-1]
    assert (answer.status, answer["Retry-After"]) == (504, "30")
    assert "The application took too long to answer." in answer.text
    assert "," not in line["app_seconds"]  # nginx names each try


@pytest.fixture
def repair(front: Front) -> Iterator[Edge]:
    mark = front.base / "shared/maintenance"
    mark.touch()
    yield front.site
    mark.unlink()


def test_under_repair_people_read_so_and_probes_are_answered(repair: Edge) -> None:
    answer = repair.get("/")
    assert (answer.status, "This site is under repair." in answer.text) == (503, True)
    assert repair.request("POST", "/auth/login", b"", source="127.0.0.7").status == 503
    assert repair.get("/static/css/app.css").status == 503
    assert [repair.get(path).status for path in ("/health", "/up", "/ready")] == [200, 200, 200]


def test_below_a_prefix_one_application_can_be_under_repair(prefixes: tuple[Front, Front]) -> None:
    first, _ = prefixes
    mark = first.base / "shared/maintenance"
    mark.touch()
    try:
        statuses = [first.site.get(path).status for path in ("/app1/", "/app1/health", "/app2/")]
    finally:
        mark.unlink()
    assert statuses == [503, 200, 200]
