"""The processes that Apache runs the application in: all answer and count together, and new code loses nobody."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def test_both_processes_answer_and_count_together(wsgi: Way) -> None:
    with ThreadPoolExecutor(64) as visitors:
        answers = list(visitors.map(wsgi.site.get, ["/wait/300"] * 64))
    assert {answer.status for answer in answers} == {200}
    lines = [line for line in wsgi.log() if line["path"] == "/wait/300"]
    assert {line["pid"] for line in lines} == set(wsgi.site.daemons())
    assert len(wsgi.site.daemons()) == 2
    route, bearer = r'http_requests_total\{.*"/wait/<int:milliseconds>".*\} (\S+)', {"Authorization": f"Bearer {TOKEN}"}
    wait_until(lambda: re.findall(route, wsgi.site.get("/metrics", headers=bearer).text) == ["64.0"], 10)


def test_ready_names_the_release(wsgi: Way) -> None:
    assert json.loads(wsgi.site.get("/ready").body)["version"] == "one"


def test_new_code_is_taken_up_by_a_touch_and_no_request_is_lost(wsgi: Way, deployed: Deployed) -> None:
    load = Load(0, "/about", "/wait/50", keep_alive=3, close=3, think=0.02, timeout=40, connection=wsgi.site.connection)
    with load:
        for _ in range(5):
            before = wsgi.site.daemons()
            os.utime(deployed.base / "current/wsgi.py")
            assert answering(wsgi) not in before
            time.sleep(1)
    print(load.result)  # noqa: T201 - pytest -s shows it, for docs/apache.md
    assert load.result.failed == 0, load.result
    assert load.result.answered > 100


def answering(way: Way) -> int:
    """The process that answers a request now."""
    request_id = way.site.get("/about", timeout=40)["X-Request-ID"]
    (line,) = wait_until(lambda: [line for line in way.log() if line["request_id"] == request_id], 10)
    pid: int = line["pid"]
    return pid


def test_another_release_is_taken_up_as_soon_as_current_leads_to_it(wsgi: Way, deployed: Deployed) -> None:
    def versions() -> set[str]:
        return {json.loads(wsgi.site.get("/ready").body)["version"] for _ in range(10)}

    with Load(0, "/about", keep_alive=2, close=2, think=0.02, timeout=40, connection=wsgi.site.connection) as load:
        for name in ("two", "one"):
            os.utime(deployed.base / "releases" / name / "wsgi.py")
            deployed.point_current_to(name)
            wait_until(lambda name=name: versions() == {name}, 60, wsgi.site.errors)
    assert load.result.failed == 0, load.result


def test_a_stop_leaves_nothing_behind(folder: Path) -> None:
    with apache("proxy", folder, folder) as site:
        processes = [site.server.process.pid, *site.server.children()]
        site.control("-k", "stop")
        assert site.server.end() == 0
        assert not any(is_alive(process) for process in processes)
        assert not (site.folder / "apache.pid").exists()
