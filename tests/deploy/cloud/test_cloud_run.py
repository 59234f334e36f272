"""Cloud Run: the container of the service, with the variables, limits and end that Cloud Run gives it."""

import http.client
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ROOT
from tests.deploy import rendering
from tests.deploy.cloud.typed import lines_of, type_with_stand_ins
from tests.deploy.containers.engine import Engine
from tests.servers.running import wait_until

SECRETS = {"DATABASE_URL": "sqlite:////data/app.db", "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778"}
PORT = 9876  # Cloud Run chooses


@pytest.fixture
def service(tmp_path: Path) -> dict[str, Any]:
    file = rendering.place("cloud/cloud-run.yaml", tmp_path / "cloud-run.yaml")
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def test_the_container_is_one_as_kubernetes_knows_it(service: dict[str, Any], tmp_path: Path) -> None:
    spec = service["spec"]["template"]["spec"]
    assert set(spec) == {"containerConcurrency", "timeoutSeconds", "containers"}
    for container in spec["containers"]:
        container["name"] = "web"  # which Knative adds, as the port
        for name in ("startupProbe", "livenessProbe"):
            container[name]["httpGet"]["port"] = PORT
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": service["metadata"]}
    pod["spec"] = {"containers": spec["containers"]}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    validate = [Path(sys.executable).with_name("kubernetes-validate"), "--strict", tmp_path / "pod.yaml"]
    done = subprocess.run(validate, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_serves_on_the_port_that_it_is_given_and_ends_in_time(
    docker: Engine, image: str, service: dict[str, Any]
) -> None:
    (container,) = service["spec"]["template"]["spec"]["containers"]
    options = [f"--env={one['name']}={one.get('value') or SECRETS[one['name']]}" for one in container["env"]]
    options += ["--volume=cloud-run:/data", "--no-healthcheck", f"--cpus={container['resources']['limits']['cpu']}"]
    options += [f"--memory={container['resources']['limits']['memory'].removesuffix('i').lower()}"]
    docker.docker("run", "--rm", *options, image, "migrate")
    port = ["--env", f"PORT={PORT}", "--publish", str(PORT)]
    name = docker.docker("run", "-d", *port, *options, image, *container["args"]).stdout.strip()
    try:
        published = int(docker.inspect(name)["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"])

        def ask(path: str) -> int:
            connection = http.client.HTTPConnection(docker.address, published, timeout=20)
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except OSError:
                return 0
            finally:
                connection.close()

        wait_until(lambda: ask(container["startupProbe"]["httpGet"]["path"]) == 200, 60)
        assert [ask(path) for path in ("/ready", "/posts/")] == [200, 200]
        late: list[int] = []
        visitor = threading.Thread(target=lambda: late.append(ask("/wait/3000")))
        visitor.start()
        time.sleep(0.5)  # it is being answered
        docker.docker("stop", "--time", "10", name)  # as long as Cloud Run waits
        visitor.join()
        assert late == [200]
        assert docker.inspect(name)["State"]["ExitCode"] == 0
        assert int(container["env"][2]["value"].rpartition("=")[2]) < 10
    finally:
        docker.docker("rm", "-fv", name, check=False)
        docker.docker("volume", "rm", "-f", "cloud-run", check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in ("scripts", "deploy"):
        shutil.copytree(ROOT / part, tmp_path / "copy" / part)
    file = tmp_path / "copy/deploy/cloud/cloud-run.yaml"
    file.write_text(yours(file.read_text()))
    return tmp_path / "copy"


def yours(text: str) -> str:
    return text.replace("REGION", "europe-west1").replace("PROJECT", "shop")


def test_each_release_pushes_one_image_migrates_with_it_and_serves_it(copy: Path) -> None:
    lines, file = yours(lines_of("clouds.md", "## Cloud Run")), copy / "deploy/cloud/cloud-run.yaml"
    for version in ("v2", "v3"):
        asked = type_with_stand_ins(lines.replace("v2", version), copy, "docker", "gcloud")
        image = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image.endswith(f"/groundwork:{version}")
        pushed, migrated, served = [line for line in asked if line.startswith(("docker push", "gcloud"))]
        assert pushed == f"docker push {image}"
        assert migrated.startswith(f"gcloud run jobs deploy migrate --image {image} --args migrate ")
        assert {"--execute-now", "--wait"} <= set(migrated.split())
        assert served == "gcloud run services replace deploy/cloud/cloud-run.yaml"


@pytest.mark.parametrize("fails", ["docker push", "gcloud run jobs"])
def test_an_image_that_is_not_there_or_does_not_migrate_does_not_serve(copy: Path, fails: str) -> None:
    asked = type_with_stand_ins(lines_of("clouds.md", "## Cloud Run"), copy, "docker", "gcloud", fails=fails)
    assert [line for line in asked if line.startswith(("docker push", "gcloud"))][-1].startswith(fails)


def test_whoever_comes_may_see_the_service(service: dict[str, Any], copy: Path) -> None:
    (asked,) = type_with_stand_ins(lines_of("clouds.md", "## Cloud Run", 1), copy, "gcloud")
    assert asked.startswith(
        f"gcloud run services add-iam-policy-binding {service['metadata']['name']} --member=allUsers "
    )


def test_the_files_of_the_clouds_are_short() -> None:
    files = [file for file in (ROOT / "deploy/cloud").rglob("*") if file.is_file()]
    assert len(files) == 5
    assert max(len(file.read_text().splitlines()) for file in files) <= 30
