"""The worker's health check in compose.yaml can fail."""

import pytest

from tests.deploy.containers.site import Site
from tests.servers.running import wait_until

pytestmark = pytest.mark.timeout(600)


def test_a_worker_that_hangs_is_found_out(site: Site) -> None:
    command = site.inspect("worker")["Config"]["Healthcheck"]["Test"]
    assert command[0] == "CMD"

    def verdict() -> int:
        return site.compose("exec", "-T", "worker", *command[1:], check=False).returncode

    assert verdict() == 0
    site.compose("kill", "--signal=STOP", "worker")
    try:
        wait_until(lambda: verdict() != 0, 40)
    finally:
        site.compose("kill", "--signal=CONT", "worker")
    wait_until(lambda: verdict() == 0, 20)
