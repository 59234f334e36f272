"""Both pipelines deploy to a server over ssh, and take it back: scripts/remote.sh, with a real sshd."""

from pathlib import Path

import pytest

from tests.deploy.pipelines.runner import Done, Machine, Pipeline, Workflow
from tests.deploy.pipelines.server import Server
from tests.servers.running import get


class Pipelines:
    """A job of either, with what the environment "production" has."""

    def __init__(self, root: Path, folder: Path, server: Server) -> None:
        self._root, self.server, self.machine = root, server, Machine(folder, server.site.project.folder)
        self.machine.stub("apt-get", "exit 0")  # GitLab's image of Debian is bare
        self.settings = dict(server.settings)

    def github(self, what: str = "", ref: str = "main") -> Done:
        values = {f"vars__{name}": value for name, value in self.settings.items()}
        values |= {"secrets__SSH_KEY": self.settings["SSH_KEY"], "inputs__what": what}
        return Workflow(self._root, "deploy").run("server", self.machine, ref, **values)

    def gitlab(self, job: str, ref: str = "main") -> Done:
        return Pipeline(self._root).run(job, self.machine, ref, **self.settings)


@pytest.fixture
def pipelines(root: Path, tmp_path: Path, server: Server) -> Pipelines:
    return Pipelines(root, tmp_path / "machine", server)


def about(text: str) -> dict[str, object]:
    page = "def about() -> str:"
    return {"app__pages__views": lambda code: code.replace(page, f"{page}\n    return '{text}'")}


def test_a_tag_is_deployed_and_a_rollback_takes_it_back(pipelines: Pipelines) -> None:
    site = pipelines.server.site
    before = site.current
    site.commit("v2", **about("the second"))  # type: ignore[arg-type]
    deployed = pipelines.github(ref="v2")
    assert deployed.returncode == 0, deployed.stdout
    assert get(site.port, "/about")[2] == "the second"
    assert site.current.endswith(site.git("rev-parse", "v2")[:8])

    back = pipelines.github("rollback")
    assert back.returncode == 0, back.stdout
    assert site.ready()["version"] == before
    assert not list(pipelines.machine.workspace.parent.rglob("tmp.*/key"))


def test_a_release_that_does_not_boot_leaves_the_old_one_serving(pipelines: Pipelines) -> None:
    site = pipelines.server.site
    before = site.current
    bad = site.broken("v3", app__pages__views=lambda code: f"{code}\nimport nothing_of_this_name\n")
    deployed = pipelines.github(ref=bad)
    assert deployed.returncode == 1
    assert f"Not deployed. {before} keeps serving." in deployed.stdout
    assert site.ready()["version"] == site.current == before


def test_gitlab_does_the_same_and_for_the_sites_own_user_by_sudo(pipelines: Pipelines) -> None:
    site = pipelines.server.site
    before = site.current
    pipelines.settings["SITE_USER"] = "site"
    site.commit("v4", **about("the fourth"))  # type: ignore[arg-type]
    deployed = pipelines.gitlab("deploy", "v4")
    assert deployed.returncode == 0, deployed.stdout
    assert get(site.port, "/about")[2] == "the fourth"
    back = pipelines.gitlab("rollback", "v4")
    assert back.returncode == 0, back.stdout
    assert site.current == before


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"SSH_KNOWN_HOSTS": "[127.0.0.1]:1 ssh-ed25519 AAAA"}, 255, "Host key verification failed"),
        ({"SSH_KEY": "no key"}, 255, "Permission denied"),
        ({"SSH_TARGET": ""}, 1, "SSH_TARGET is not set"),
        ({"BASE": ""}, 1, "BASE is not set"),
        ({"BASE": "/srv/x; touch /tmp/y"}, 1, "BASE is not set"),
        ({"SITE_USER": "x y"}, 1, "SITE_USER is no name"),
    ],
)
def test_a_server_that_is_not_the_one_and_settings_that_are_none_are_refused(
    pipelines: Pipelines, changed: dict[str, str], code: int, said: str
) -> None:
    before = pipelines.server.site.current
    pipelines.settings |= changed
    refused = pipelines.github()
    assert refused.returncode == code, refused.stdout
    assert said in refused.stdout
    assert pipelines.server.site.current == before
