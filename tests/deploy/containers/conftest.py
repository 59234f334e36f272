"""One site of compose.yaml for all of these tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.containers.engine import Engine
from tests.deploy.containers.site import Site

Figure = Callable[[str], None]


@pytest.fixture(scope="session")
def site(docker: Engine, image: str, project: Path) -> Site:
    """All of compose.yaml. What the image's build has left in the engine's cache serves here, too."""
    up = Site(docker, project)
    up.script("scripts/compose_secrets.sh")
    up.compose("up", "--detach", "--build", "--wait", "--pull=never")
    up.compose("exec", "-T", "web", "flask", "--app", "wsgi", "make-counters")
    return up  # it ends with the engine
