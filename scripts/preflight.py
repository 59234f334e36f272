"""Boots the code on disk on a spare port and asks /ready, so that a reload or a release never switches to broken code.

    python scripts/preflight.py                 boot a copy of the code here; exit 0 when it is ready, 1 with the reason
    python scripts/preflight.py --wait PID --address FILE    wait until the server PID answers /ready there
    python scripts/preflight.py --address FILE               print which release answers there, ready or not

With --version ID, it is this release that must be ready.

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
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0  # seconds for a boot
PASSING = {"database: does not answer"}  # of app/platform/health.py's problems, what may be over a moment later


class NotReadyError(Exception):
    """With the reason. Asking again may help."""


class RefusalError(NotReadyError):
    """It runs, and says itself why it is not ready: no use to ask again."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=3)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(host: str, port: int) -> tuple[int, dict[str, Any]]:
    """Status and body of /ready; raises NotReadyError when nothing like that is answered. `host` may be unix:/path."""
    if host.startswith("unix:"):
        connection: http.client.HTTPConnection = UnixConnection(host.removeprefix("unix:"))
    else:
        reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "::1", "::": "::1"}.get(host, host.strip("[]"))
        connection = http.client.HTTPConnection(reachable, port, timeout=3)
    try:
        connection.request("GET", "/ready", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, dict(json.loads(response.read()))
    except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
        raise NotReadyError(f"no answer ({error})") from error
    finally:
        connection.close()


def check_ready(host: str, port: int, version: str | None) -> None:
    """Raises NotReadyError, unless it is ready and of this version, if one is named."""
    status, body = ask(host, port)
    if version and body.get("version") != version:
        raise NotReadyError(f"release {body.get('version')} answers, not {version}")
    if status != 200:
        problems = body.get("problems", [])
        reason = f"/ready answers {status}: {'; '.join(problems)}"
        raise NotReadyError(reason) if PASSING.intersection(problems) else RefusalError(reason)


def wait_until_ready(host: str, port: int, server: "subprocess.Popen[bytes] | int", version: str | None = None) -> None:
    """Raises NotReadyError with the last reason: after PATIENCE, or as soon as there is no more hope."""
    deadline = time.monotonic() + PATIENCE
    while True:
        reason = None
        try:
            check_ready(host, port, version)
        except NotReadyError as error:
            reason = error
        if is_gone(server):
            raise NotReadyError("the process ended")  # also when another server answers on this address
        if reason is None:
            return
        if isinstance(reason, RefusalError) or time.monotonic() >= deadline:
            raise reason
        time.sleep(0.1)


def is_gone(process: "subprocess.Popen[bytes] | int") -> bool:
    if isinstance(process, int):
        if process <= 0:  # systemd's MainPID while nothing runs; to kill() it would be this process' own group
            return True
        try:
            os.kill(process, 0)
        except OSError:
            return True
        return False
    return process.poll() is not None


def boot_copy(version: str | None) -> None:
    """Raises NotReadyError, after it has printed what the copy said."""
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
            env={**os.environ, "HOST": "127.0.0.1", "JOBS": "external", "METRICS_PORT": "", "NACOS_API": "off"},
        )
        reason = None
        try:
            port = listener.getsockname()[1]
            wait_until_ready("127.0.0.1", port, process)
            check_ready("127.0.0.1", port, version)  # only the copy answers here, so a wrong version is final
        except NotReadyError as error:
            reason = error
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if reason:
            output.seek(0)
            text = output.read().decode(errors="replace").strip().splitlines()
            print("\n".join(line for line in text if '"level":"info"' not in line)[-3000:], file=sys.stderr)
            raise reason


def read_address(file: Path) -> tuple[str, int]:
    host, port = file.read_text(encoding="utf-8").rsplit(maxsplit=1)
    return host, int(port)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wait", type=int, metavar="PID")
    parser.add_argument("--address", type=Path, metavar="FILE", help="host and port, as instance/run/8080.address")
    parser.add_argument("--version", metavar="ID", help="the release that has to answer")
    arguments = parser.parse_args()
    failed = "preflight: the code on disk is not fit to serve"
    try:
        if arguments.wait is not None:
            failed = f"the server {arguments.wait} is not ready"
            wait_until_ready(*read_address(arguments.address), arguments.wait, arguments.version)
        elif arguments.address:
            failed = "nobody says which release serves"
            print(ask(*read_address(arguments.address))[1].get("version"))
        else:
            boot_copy(arguments.version)
    except NotReadyError as reason:
        print(f"{failed}: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
