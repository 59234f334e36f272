"""scripts/start.sh, reload.sh and stop.sh with a registration: who calls this service never finds it gone too early."""

import subprocess
import threading
import time

from tests.servers.project import Project
from tests.servers.registry.stand_in import Nacos
from tests.servers.running import free_port, get, wait_until


def test_a_reload_keeps_it_a_preflight_does_not_make_another_and_a_drain_ends_it_first(project: Project) -> None:
    port = free_port()
    with Nacos(api="v3") as nacos:
        settings = f"NACOS_SERVER_ADDR={nacos.address}\nNACOS_SERVICE=shop\nJOBS=external\n"
        (project.folder / ".env").write_text(settings, encoding="utf-8")
        started = project.run("start.sh", "-d", "-p", str(port), "-w", "2")
        assert started.returncode == 0, started.stderr
        wait_until(nacos.living, 10)
        before = project.pid()

        reloaded = project.run("reload.sh")  # a pre-flight of the code, then a hand-over
        assert reloaded.returncode == 0, reloaded.stderr
        assert project.pid() != before
        time.sleep(2)
        assert {key[-1] for _, _, key in nacos.events} == {str(port)}, "the copy on a spare port told nobody"
        assert nacos.happened("deregistered", "expired") == []
        assert len(nacos.living()) == 1

        stopped: list[subprocess.CompletedProcess[str]] = []
        stop = threading.Thread(target=lambda: stopped.append(project.run("stop.sh", "--drain", "8")))
        stop.start()
        wait_until(lambda: nacos.living() == {}, 8)
        assert get(port, "/about")[0] == 200, "it still answers who has not noticed"
        stop.join()
        assert stopped[0].returncode == 0, stopped[0].stderr
        assert nacos.happened("deregistered") == ["deregistered"]
        assert nacos.faults == []
