"""Runs the pods of a manifest by a container engine, as a kubelet would: without API server and scheduler.

What a manifest says is done or refused: a field that is not known here is an error, so that none is silently left out.
"""

import copy
import http.client
import os
import shutil
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.containers.engine import Engine

Manifest = dict[str, Any]
UNITS = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
# What only matters where there are several nodes, a scheduler or an API server.
_OTHERS_WORK = {"topologySpreadConstraints", "automountServiceAccountToken", "restartPolicy"}


class Cluster:
    """`folder` holds what is mounted; pods find each other in the network `name`."""

    def __init__(self, engine: Engine, folder: Path, manifests: list[Manifest], image: str) -> None:
        self.engine, self.folder, self.image, self.name = engine, folder, image, "cluster"
        self._manifests = {(one["kind"], one["metadata"]["name"]): one for one in manifests}
        self.pods: list[Pod] = []
        engine.docker("network", "create", self.name)

    def manifest(self, kind: str, name: str) -> Manifest:
        return self._manifests[kind, name]

    def files(self, kind: str, name: str) -> dict[str, bytes]:
        data = self.manifest(kind, name).get("data", {})
        return {key: b64decode(value) if kind == "Secret" else value.encode() for key, value in data.items()}

    def mounted(self, kind: str, name: str, mode: int, group: int) -> Path:
        folder = self.folder / f"{kind}-{name}"
        if not folder.exists():
            folder.mkdir(parents=True)
            self.put(folder, self.files(kind, name), mode, group)
        return folder

    def change(self, name: str, **files: str) -> None:
        """As the kubelet brings an edited ConfigMap to the pods: a new folder, and a link that names it."""
        folder = self.folder / f"ConfigMap-{name}"
        self.put(folder, {key.replace("_", "."): value.encode() for key, value in files.items()}, 0o644, 0)

    @staticmethod
    def put(folder: Path, files: dict[str, bytes], mode: int, group: int) -> None:
        version = folder / f"..{time.time_ns()}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_bytes(content)
            os.chown(version / name, 0, group)
            (version / name).chmod(mode)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        link = folder / "..data.new"
        link.symlink_to(version.name)
        link.replace(folder / "..data")

    def start(self, kind: str, name: str) -> "Pod":
        pod = Pod(self, self.manifest(kind, name), f"{name}-{len(self.pods)}")
        self.pods.append(pod)
        return pod

    def remove(self) -> None:
        for pod in self.pods:
            self.engine.docker("rm", "-fv", pod.name, check=False)
        self.engine.docker("network", "rm", self.name, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Pod:
    def __init__(self, cluster: Cluster, workload: Manifest, name: str) -> None:
        self._cluster, self.name = cluster, f"pod-{name}"  # compose.yaml calls its containers so, too
        spec = copy.deepcopy(workload["spec"]["template"]["spec"])
        (self._container,) = spec.pop("containers")
        self.grace = spec.pop("terminationGracePeriodSeconds", 30)
        self._group = spec["securityContext"]["fsGroup"]
        command = ["run", "-d", f"--name={self.name}", f"--network={cluster.name}", "--no-healthcheck"]
        command += self._security(spec.pop("securityContext")) + self._container_options(spec.pop("volumes"))
        assert spec.pop("enableServiceLinks") is False, "the variables of service links are not made here"
        assert not spec.keys() - _OTHERS_WORK, f"not known here: {spec.keys() - _OTHERS_WORK}"
        cluster.engine.docker(*command, cluster.image, *self._container["args"])

    def _security(self, security: Manifest) -> list[str]:
        assert security.pop("runAsNonRoot") is True
        assert security.pop("seccompProfile") == {"type": "RuntimeDefault"}  # the engine's default
        options = [f"--user={security.pop('runAsUser')}:{security.pop('runAsGroup')}"]
        options += [f"--group-add={security.pop('fsGroup')}"]
        assert not security, f"not known here: {security}"
        return options

    def _container_options(self, volumes: list[Manifest]) -> list[str]:
        container = self._container
        own = container["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        options = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        limits = container["resources"]["limits"]
        options += [f"--cpus={limits['cpu']}", f"--memory={in_bytes(limits['memory'])}"]
        for source in container["envFrom"]:
            data = self._cluster.manifest("ConfigMap", source["configMapRef"]["name"])["data"]
            options += [f"--env={name}={value}" for name, value in data.items()]
        options += [f"--env={one['name']}={one['value']}" for one in container.get("env", [])]
        options += [f"--publish={one['containerPort']}" for one in container.get("ports", [])]
        kinds = {volume["name"]: volume for volume in volumes}
        for mount in container["volumeMounts"]:
            options += self._mount(kinds[mount["name"]], mount)
        known = {"name", "image", "args", "envFrom", "env", "resources", "securityContext", "volumeMounts", "ports"}
        known |= {"startupProbe", "livenessProbe", "readinessProbe", "lifecycle"}
        assert not container.keys() - known, f"not known here: {container.keys() - known}"
        return options

    def _mount(self, volume: Manifest, mount: Manifest) -> list[str]:
        path, cluster = mount["mountPath"], self._cluster
        assert "subPath" not in mount, "what is mounted as a subPath is never updated"
        if (empty := volume.get("emptyDir")) is not None:
            assert in_bytes(empty["sizeLimit"]), "without one, a pod may fill the node's disk"
            source = cluster.folder / self.name / volume["name"]
            source.mkdir(parents=True)
            os.chown(source, 0, self._group)
            source.chmod(0o2777)
        elif secret := volume.get("secret"):
            source = cluster.mounted("Secret", secret["secretName"], secret["defaultMode"], self._group)
        elif configuration := volume.get("configMap"):
            source = cluster.mounted("ConfigMap", configuration["name"], 0o644, self._group)
        else:
            claim = volume["persistentVolumeClaim"]["claimName"]
            cluster.manifest("PersistentVolumeClaim", claim)
            source = cluster.folder / f"claim-{claim}"
            source.mkdir(parents=True, exist_ok=True)
            os.chown(source, 0, self._group)
            source.chmod(0o2775)
        return [f"--volume={source}:{path}{':ro' if mount.get('readOnly') else ''}"]

    # --- what a kubelet does with it --------------------------------------------------------------

    def port(self, name: str = "http") -> int:
        """Where the container's port of this name answers, at the engine's address."""
        (number,) = [one["containerPort"] for one in self._container["ports"] if one["name"] == name]
        published = self._cluster.engine.inspect(self.name)["NetworkSettings"]["Ports"]
        return int(published[f"{number}/tcp"][0]["HostPort"])

    def probe(self, name: str) -> bool:
        """Asks once, as the manifest says."""
        asked, timeout = self._container[name]["httpGet"], self._container[name].get("timeoutSeconds", 1)
        connection = http.client.HTTPConnection(self._cluster.engine.address, self.port(asked["port"]), timeout=timeout)
        try:
            connection.request("GET", asked["path"], headers={"User-Agent": "kube-probe/1.32"})
            return 200 <= connection.getresponse().status < 400
        except OSError:
            return False
        finally:
            connection.close()

    def start_up(self) -> float:
        """Waits for the startup probe, no longer than it allows: seconds."""
        probe, started = self._container["startupProbe"], time.monotonic()
        for _ in range(probe["failureThreshold"]):
            if self.probe("startupProbe"):
                return time.monotonic() - started
            assert self.state["Running"], self.log
            time.sleep(probe["periodSeconds"])
        raise AssertionError(f"the kubelet would restart it now: {self.log}")

    def become_ready(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.probe("readinessProbe"):
            assert time.monotonic() < until, self.log
            time.sleep(0.2)  # the manifest says how often; that many seconds would only be waited for

    @contextmanager
    def terminating(self) -> Iterator[None]:
        """The kubelet's end of a pod, meanwhile: preStop, then SIGTERM, then SIGKILL after the grace period."""
        thread = threading.Thread(target=self.terminate)
        thread.start()
        yield
        thread.join()

    def terminate(self) -> None:
        began = time.monotonic()
        if hook := self._container.get("lifecycle", {}).get("preStop"):
            self._cluster.engine.docker("exec", self.name, *hook["exec"]["command"])
        rest = max(2, round(self.grace - (time.monotonic() - began)))
        self._cluster.engine.docker("stop", "--time", str(rest), self.name)

    def wait(self, seconds: float) -> int:
        """For its end: the exit code."""
        return int(self._cluster.engine.docker("wait", self.name, timeout=seconds).stdout)

    @property
    def state(self) -> Manifest:
        state: Manifest = self._cluster.engine.inspect(self.name)["State"]
        return state

    @property
    def log(self) -> str:
        done = self._cluster.engine.docker("logs", self.name)
        return done.stdout + done.stderr


def in_bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
