"""A container engine of the tests' own, in a network of its own.

The engine has its own folder, socket and network namespace, whose only way out is a cable to this machine: nothing that
runs in it can reach anything else, and its ports are nobody's.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Engine:
    """`address` is where ports that containers publish answer, as seen from the tests."""

    def __init__(self, folder: Path) -> None:
        number = os.getpid() % 16000
        self.folder, self.namespace = folder, f"groundwork-{os.getpid()}"
        self._near, self._far = f"gw{number}a", f"gw{number}b"
        third, fourth = divmod(number * 4, 256)
        self._gateway, self.address = f"10.213.{third}.{fourth + 1}", f"10.213.{third}.{fourth + 2}"
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "DOCKER_CONFIG": str(folder / "client"),
            "DOCKER_BUILDKIT": "1",
        }

    def start(self) -> None:
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self.namespace)
        run("ip", "addr", "add", f"{self._gateway}/30", "dev", self._near)
        run("ip", "link", "set", self._near, "up")
        inside = ("ip", "-n", self.namespace)
        run(*inside, "addr", "add", f"{self.address}/30", "dev", self._far)
        run(*inside, "link", "set", self._far, "up")
        run(*inside, "link", "set", "lo", "up")
        (self.folder / "client").mkdir(parents=True, exist_ok=True)
        # `ip netns exec` would mount another /sys, without the control groups.
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "dockerd", f"--data-root={self.folder}/data"]
        command += [f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/docker.pid"]
        with (self.folder / "engine.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, f"--host=unix://{self.folder}/docker.sock"],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + 30
        while self.docker("info", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"dockerd does not start: {(self.folder / 'engine.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            if containers := self.docker("ps", "-aq", check=False).stdout.split():
                self.docker("rm", "-f", *containers, check=False)
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)  # its containerd, too
                self._process.wait()
        for line in Path("/proc/mounts").read_text().splitlines():
            if (mount := line.split()[1]).startswith(f"{self.folder}/"):
                run("umount", "-l", mount, check=False)
        run("ip", "netns", "del", self.namespace, check=False)
        run("ip", "link", "del", self._near, check=False)

    def docker(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        return run("docker", *arguments, check=check, env=self.environment, **options)

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", name).stdout)
        return found[0]


def run(*command: str, check: bool = True, timeout: float = 300, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, **options)
    if check and done.returncode:
        raise RuntimeError(
            f"{' '.join(command)[:200]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-4000:]
        )
    return done


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    one = Engine(folder)
    try:
        one.start()
        yield one
    finally:
        one.stop()
