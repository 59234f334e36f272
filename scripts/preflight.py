"""Boots the code on disk on a spare port and asks /ready, so that a reload or a release never switches to broken code.

    python scripts/preflight.py                 boot a copy of the code here; exit 0 when it is ready, 1 with the reason
    python scripts/preflight.py --wait PID --address FILE    wait until the server PID answers /ready there

With --version ID, it is this release that must answer.

Needs only the standard library, because what it looks at may be what is broken. The copy serves only: nothing migrates.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0  # seconds for a boot


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=3)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask_ready(host: str, port: int, version: str | None) -> str | None:
    """None when ready and of this version, if one is named; else the reason. `host` may be unix:/path."""
    if host.startswith("unix:"):
        connection: http.client.HTTPConnection = UnixConnection(host.removeprefix("unix:"))
    else:
        reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "::1", "::": "::1"}.get(host, host.strip("[]"))
        connection = http.client.HTTPConnection(reachable, port, timeout=3)
    try:
        connection.request("GET", "/ready", headers={"Connection": "close"})
        response = connection.getresponse()
        body = json.loads(response.read())
        if version and body.get("version") != version:
            return f"release {body.get('version')} answers, not {version}"
        if response.status == 200:
            return None
        return f"/ready answers {response.status}: {'; '.join(body.get('problems', []))}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer ({error})"
    finally:
        connection.close()


def wait_until_ready(
    host: str, port: int, alive: "subprocess.Popen[bytes] | int", version: str | None = None
) -> str | None:
    """None when ready, else the last reason: after PATIENCE, or at once when the process is gone."""
    deadline = time.monotonic() + PATIENCE
    reason: str | None = "never asked"
    while time.monotonic() < deadline:
        reason = ask_ready(host, port, version)
        if is_gone(alive):
            return "the process ended"  # also when another server answers on this address
        if reason is None:
            return None
        if "/ready answers" in reason and "does not answer" not in reason:
            return reason  # it runs, and says itself why it is not ready
        time.sleep(0.1)
    return reason


def is_gone(process: "subprocess.Popen[bytes] | int") -> bool:
    if isinstance(process, int):
        try:
            os.kill(process, 0)
        except OSError:
            return True
        return False
    return process.poll() is not None


def boot_copy(version: str | None) -> int:
    with socket.socket() as listener, tempfile.TemporaryFile() as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        descriptor = listener.fileno()
        gunicorn = Path(sys.executable).with_name("gunicorn")
        process = subprocess.Popen(
            [str(gunicorn), "--bind", f"fd://{descriptor}", "--workers", "1", "--graceful-timeout", "3", "wsgi:app"],
            cwd=ROOT,
            pass_fds=[descriptor],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOST": "127.0.0.1"},
        )
        try:
            port = listener.getsockname()[1]
            # Only the copy answers here, so a wrong version is final.
            reason = wait_until_ready("127.0.0.1", port, process) or ask_ready("127.0.0.1", port, version)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if reason is None:
            return 0
        output.seek(0)
        text = output.read().decode(errors="replace").strip().splitlines()
        print("\n".join(line for line in text if '"level":"info"' not in line)[-3000:], file=sys.stderr)
        print(f"preflight: the code on disk is not fit to serve: {reason}", file=sys.stderr)
        return 1


def wait_for_server(pid: int, address: Path, version: str | None) -> int:
    host, port = address.read_text(encoding="utf-8").split()
    if reason := wait_until_ready(host, int(port), pid, version):
        print(f"the server {pid} is not ready: {reason}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wait", type=int, metavar="PID")
    parser.add_argument("--address", type=Path, metavar="FILE", help="host and port, as instance/run/8080.address")
    parser.add_argument("--version", metavar="ID", help="the release that has to answer")
    arguments = parser.parse_args()
    if arguments.wait:
        return wait_for_server(arguments.wait, arguments.address, arguments.version)
    return boot_copy(arguments.version)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
