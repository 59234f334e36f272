"""The processes that Apache runs the application in: all answer and count together, and new code loses nobody."""

import functools
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.load import Load
from benchmarks.visitor import Visitor
from benchmarks.writes import COUNTER
from tests.deploy.apache.conftest import TOKEN, Way
from tests.deploy.apache.server import apache
from tests.deploy.deployed import Deployed
from tests.servers.running import is_alive, wait_until


class Person(Visitor):
    def __init__(self, way: Way, form_at: str) -> None:
        self._connection = way.site.connection()
        self._cookies: dict[str, str] = {}
        self.open(form_at)


def test_a_form_is_sent(way: Way) -> None:
    path = COUNTER if way.site.get(COUNTER).status == 200 else "/auth/login"
    with Person(way, path) as person:
        assert person.send(path, "&name=nobody&password=nothing")[0] in {303, 422}


def answering(way: Way) -> set[int]:
    """The processes that answer many visitors at once; each of them, when none is loading."""
    with ThreadPoolExecutor(32) as visitors:
        answers = list(visitors.map(functools.partial(way.site.get, timeout=40), ["/wait/200"] * 32))
    assert {answer.status for answer in answers} == {200}
    ids = {answer["X-Request-ID"] for answer in answers}

    def lines() -> list[dict[str, Any]]:
        return [line for line in way.log() if line["request_id"] in ids]

    wait_until(lambda: len(lines()) == len(ids), 10)
    return {line["pid"] for line in lines()}


def settle(way: Way) -> None:
    """mod_wsgi notes the file's date after it has loaded it: a process that is just loading would miss a change."""
    wait_until(lambda: len(answering(way) & set(way.site.daemons())) == 2, 60, way.site.errors)


def test_both_processes_answer_and_count_together(wsgi: Way) -> None:
    settle(wsgi)
    route, bearer = r'http_requests_total\{.*"/wait/<int:milliseconds>".*\} (\S+)', {"Authorization": f"Bearer {TOKEN}"}

    def counted() -> list[float]:
        return [float(count) for count in re.findall(route, wsgi.site.get("/metrics", headers=bearer).text)]

    (before,) = counted()
    assert answering(wsgi) == set(wsgi.site.daemons())
    wait_until(lambda: counted() == [before + 32], 10)


def test_ready_names_the_release(wsgi: Way) -> None:
    assert json.loads(wsgi.site.get("/ready").body)["version"] == "one"


def test_new_code_is_taken_up_by_a_touch_and_no_request_is_lost(wsgi: Way, deployed: Deployed) -> None:
    load = Load(0, "/about", "/wait/50", keep_alive=3, close=3, think=0.02, timeout=40, connection=wsgi.site.connection)
    with load:
        for _ in range(5):
            settle(wsgi)
            before = set(wsgi.site.daemons())
            os.utime(deployed.base / "current/wsgi.py")
            assert not answering(wsgi) & before
    print(load.result)  # noqa: T201 - pytest -s shows it, for docs/apache.md
    assert load.result.failed == 0, load.result
    assert load.result.answered > 100


def test_another_release_is_taken_up_as_soon_as_current_leads_to_it(wsgi: Way, deployed: Deployed) -> None:
    load = Load(0, "/about", keep_alive=2, close=2, think=0.02, timeout=40, connection=wsgi.site.connection)
    with load:
        for name in ("two", "one"):
            settle(wsgi)
            os.utime(deployed.base / "releases" / name / "wsgi.py")
            deployed.point_current_to(name)
            assert {json.loads(wsgi.site.get("/ready").body)["version"] for _ in range(10)} == {name}
    assert load.result.failed == 0, load.result


def test_a_stop_leaves_nothing_behind(folder: Path) -> None:
    with apache("proxy", folder, folder) as site:
        processes = [site.server.process.pid, *site.server.children()]
        site.control("-k", "stop")
        assert site.server.end() == 0
        assert not any(is_alive(process) for process in processes)
        assert not (site.folder / "apache.pid").exists()
