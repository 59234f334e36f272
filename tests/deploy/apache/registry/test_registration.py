"""The processes in which Apache runs the application are one instance."""

import os
import shutil
import signal
import time
from pathlib import Path

from tests.deploy.apache.conftest import USER
from tests.deploy.apache.server import apache
from tests.deploy.deployed import Deployed
from tests.deploy.edge import DOMAIN, let_nginx_read
from tests.servers.registry.stand_in import Nacos
from tests.servers.running import wait_until


def test_a_daemon_may_die_and_a_stop_ends_the_registration(folder: Path, debians_environment: Path) -> None:
    with Nacos(api="v3") as nacos:
        settings = {"NACOS_SERVER_ADDR": nacos.address, "NACOS_PORT": 443, "TRUSTED_HOSTS": DOMAIN}
        site = Deployed(folder / "registry", **settings)
        site.release("one", debians_environment)
        site.point_current_to("one")
        let_nginx_read(site.instance)
        for path in (site.instance, *site.instance.rglob("*")):
            shutil.chown(path, USER)
        with apache("wsgi", site.base, folder, user=USER) as server:
            wait_until(nacos.living, 10)
            before = server.daemons()
            os.kill(before[0], signal.SIGKILL)
            died = time.monotonic()
            assert server.get("/about").status == 200
            wait_until(lambda: any(instance.beaten > died for instance in nacos.living().values()), 10)
            assert nacos.happened("deregistered", "expired") == []
            assert len(nacos.living()) == 1
        wait_until(lambda: nacos.living() == {}, 5)
        assert nacos.faults == []
