"""What a cluster would refuse, or what would show only at night: read from what kustomize makes of them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ROOT
from tests.deploy.cloud.typed import lines_of, type_with_stand_ins
from tests.deploy.containers.fixtures import Scanner
from tests.deploy.kubernetes.kubelet import Manifest

POD_OWNERS = {"Deployment", "Job"}
JUSTIFIED = {  # what the policy scanner would have otherwise
    "CKV_K8S_43": "a release is named by its version, which the overlay sets; /ready and the log say the same",
    "CKV_K8S_15": "a version's image never changes, and a pod starts again while the registry is away",
    "CKV_K8S_8 Deployment.groundwork.groundwork-worker": "worker.yaml says why it has no probes",
    "CKV_K8S_9 Deployment.groundwork.groundwork-worker": "worker.yaml says why it has no probes",
}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in manifests if one["kind"] in POD_OWNERS}


def by_kind(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = [one for one in manifests if one["kind"] == kind]
    return found


def names(value: Any, key: str) -> Iterator[str]:
    """Whatever is named by this key, however deep."""
    if isinstance(value, dict):
        for own, inner in value.items():
            if own == key and isinstance(inner, dict | str):
                yield inner["name"] if isinstance(inner, dict) else inner
            yield from names(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner, key)


@pytest.mark.parametrize("fault", ["", "  unknown-field: 1\n"])
def test_every_object_is_what_the_schema_allows_and_nothing_more(built: str, tmp_path: Path, fault: str) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(built.replace("kind: Job\nmetadata:\n", f"kind: Job\nmetadata:\n{fault}"))
    validate = [Path(sys.executable).with_name("kubernetes-validate"), "--strict", file]
    done = subprocess.run(validate, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is not bool(fault), said
    assert said.count("passed") == 13 - bool(fault)


def faults_against_restricted(pod: Manifest) -> list[str]:
    """The rules of https://kubernetes.io/docs/concepts/security/pod-security-standards/ that a pod breaks."""
    faults = [
        key for key in ("hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers") if pod.get(key)
    ]
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    faults += [
        f"volume {volume['name']}" for volume in pod.get("volumes", []) if not volume.keys() - {"name"} <= allowed
    ]
    around = pod.get("securityContext", {})
    if around.get("sysctls"):
        faults.append("sysctls")
    for container in pod["containers"]:
        own = around | container.get("securityContext", {})
        wanted = {
            "root": own.get("runAsNonRoot") is True and own.get("runAsUser") != 0,
            "privileged": not own.get("privileged"),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"]
            and set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"},
            "seccomp": own.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "host ports": not any(port.get("hostPort") for port in container.get("ports", [])),
            "proc": own.get("procMount", "Default") == "Default",
            "selinux": not own.get("seLinuxOptions") and not own.get("windowsOptions"),
        }
        faults += [name for name, is_kept in wanted.items() if not is_kept]
    return faults


def test_the_restricted_policy_that_the_namespace_enforces_lets_every_pod_in(manifests: list[Manifest]) -> None:
    labels = by_kind(manifests, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    found = {name: faults_against_restricted(pod) for name, pod in pods(manifests).items()}
    assert found == {"groundwork-web": [], "groundwork-worker": [], "groundwork-migrate": []}
    assert faults_against_restricted({"containers": [{}]}) == ["root", "escalation", "capabilities", "seccomp"]


def test_a_pod_is_killed_only_after_all_that_comes_before(manifests: list[Manifest]) -> None:
    text = (ROOT / "gunicorn.conf.py").read_text() + (ROOT / "app/extras/worker/process.py").read_text()
    (graceful,) = re.findall(r"^graceful_timeout = (\d+)", text, re.MULTILINE)
    (jobs,) = re.findall(r"^GRACE = (\d+)", text, re.MULTILINE)
    web, worker = pods(manifests)["groundwork-web"], pods(manifests)["groundwork-worker"]
    pause = int(web["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause + int(graceful) + 5 <= web["terminationGracePeriodSeconds"]
    assert int(jobs) + 5 <= worker["terminationGracePeriodSeconds"]


def test_no_probe_restarts_a_pod_because_the_database_is_away(manifests: list[Manifest]) -> None:
    (web,) = pods(manifests)["groundwork-web"]["containers"]
    assert {name: web[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")} == {
        "startup": "/health", "liveness": "/health", "readiness": "/ready",
    }  # fmt: skip


def test_what_an_object_names_is_there(manifests: list[Manifest]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    workloads = [one for one in manifests if one["kind"] in POD_OWNERS]
    kinds = {"configMap": "ConfigMap", "configMapRef": "ConfigMap", "secretName": "Secret"}
    for key, kind in (kinds | {"claimName": "PersistentVolumeClaim"}).items():
        named = set(names(workloads, key))
        assert named
        assert {(kind, name) for name in named} <= there
    assert (
        "Service",
        by_kind(manifests, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"],
    ) in there
    target = by_kind(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in there
    for kind in ("Service", "PodDisruptionBudget"):
        selector = by_kind(manifests, kind)["spec"]["selector"]
        chosen = selector.get("matchLabels", selector).items()
        matching = [one for one in workloads if chosen <= one["spec"]["template"]["metadata"]["labels"].items()]
        assert [one["metadata"]["name"] for one in matching] == ["groundwork-web"]
    assert len({one["metadata"].get("namespace") for one in manifests if one["kind"] != "Namespace"}) == 1


def test_the_host_of_the_ingress_is_one_that_the_site_serves(manifests: list[Manifest]) -> None:
    (rule,) = by_kind(manifests, "Ingress")["spec"]["rules"]
    data = [one.get("data", {}) for one in manifests if one["kind"] == "ConfigMap"]
    assert [one["TRUSTED_HOSTS"] for one in data if "TRUSTED_HOSTS" in one] == [rule["host"]]


def test_an_edited_setting_or_secret_brings_new_pods_but_a_live_setting_does_not(manifests: list[Manifest]) -> None:
    found = {one["kind"]: [] for one in manifests} | {"ConfigMap": []}
    for one in manifests:
        found[one["kind"]].append(one["metadata"]["name"])
    assert [bool(re.fullmatch(r"groundwork-[a-z0-9]{10}", name)) for name in sorted(found["ConfigMap"])].count(
        True
    ) == 1
    assert "groundwork-live" in found["ConfigMap"]
    assert re.fullmatch(r"groundwork-[a-z0-9]{10}", found["Secret"][0])


def test_how_many_pods_there_are_is_the_autoscalers_affair(manifests: list[Manifest]) -> None:
    (web,) = [one for one in manifests if one["metadata"]["name"] == "groundwork-web" and one["kind"] == "Deployment"]
    assert "replicas" not in web["spec"]
    assert (
        by_kind(manifests, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
        > by_kind(manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"]
    )


@pytest.mark.timeout(300)
def test_the_policy_scanner_finds_only_what_is_justified(checkov: Scanner, built: str, tmp_path: Path) -> None:
    file = tmp_path / "built.yaml"
    file.write_text(built, encoding="utf-8")
    found = checkov("kubernetes", file)
    failed = {(one["check_id"], f"{one['check_id']} {one['resource']}") for one in found["results"]["failed_checks"]}
    assert {one for one in failed if not JUSTIFIED.keys() & set(one)} == set()
    assert {name for one in failed for name in one if name in JUSTIFIED} == JUSTIFIED.keys()
    assert found["summary"]["passed"] > 200


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in ("scripts", "deploy"):
        shutil.copytree(ROOT / part, tmp_path / "copy" / part)
    return tmp_path / "copy"


def test_each_release_deploys_the_image_that_it_has_pushed(copy: Path) -> None:
    overlay = copy / "deploy/kubernetes/production/kustomization.yaml"
    for version in ("v2", "v3"):
        lines = lines_of("kubernetes.md", "Each release, the first too").replace("v2", version)
        asked = type_with_stand_ins(lines, copy, "docker", "kubectl")
        (image,) = yaml.safe_load(overlay.read_text())["images"]
        assert f"docker push {image['newName']}:{image['newTag']}" in asked
        assert image["newTag"] == version
        assert "kubectl apply -k deploy/kubernetes/production" in asked


def test_what_could_not_be_pushed_is_not_deployed(copy: Path) -> None:
    lines = lines_of("kubernetes.md", "Each release, the first too")
    asked = type_with_stand_ins(lines, copy, "docker", "kubectl", fails="docker push")
    assert not [command for command in asked if command.startswith("kubectl")]
