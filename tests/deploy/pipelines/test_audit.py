"""scripts/audit.sh asks the real pip-audit; who answers is a stand-in for PyPI, as PyPI's answers change."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.authority import Authority
from tests.deploy.pipelines.runner import Done, Machine, Pipeline, Workflow

HOLE = {"id": "PYSEC-2026-1", "details": "It leaks.", "fixed_in": ["99"], "aliases": [], "link": "", "withdrawn": None}


class PyPI:
    """A proxy that leads nowhere: it answers itself, as pypi.org. `holes` are names of packages."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.holes, self.asked = Authority(folder / "authority"), set[str](), set[str]()
        self.is_away = False
        self.authority.issue(folder / "pypi", "pypi.org")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "pypi/fullchain.pem", folder / "pypi/privkey.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head = connection.recv(4096)
            if self.is_away or not head.startswith(b"CONNECT pypi.org:443 "):
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._context.wrap_socket(connection, server_side=True) as secure:
                while request := secure.recv(65536):
                    asked = re.match(rb"GET /pypi/([^/]+)/[^/]+/json ", request)
                    assert asked, request
                    secure.sendall(self._answer(asked[1].decode()))

    def _answer(self, name: str) -> bytes:
        self.asked.add(name)
        body = json.dumps({"info": {}, "vulnerabilities": [HOLE] if name in self.holes else []}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture
def pypi(tmp_path: Path) -> Iterator[PyPI]:
    made = PyPI(tmp_path)
    yield made
    made.close()


def test_the_audit_asks_for_every_locked_package_and_fails_for_a_known_hole_or_without_an_answer(
    root: Path, machine: Machine, pypi: PyPI
) -> None:
    def audit(run_by_gitlab: bool = False) -> Done:
        return Pipeline(root).run("audit", machine) if run_by_gitlab else Workflow(root, "test").run("audit", machine)

    # The tool itself comes from the index of this machine, whatever that is: from now on it is there.
    machine.check_out()
    (tool,) = re.findall(r"--from (\S+)", (root / "scripts/audit.sh").read_text())
    machine.environment |= {"HOME": str(Path.home()), "UV_CACHE_DIR": str(machine.stubs.parent / "uv")}
    uv = f".venv/bin/uv tool run -q --from {tool} pip-audit --version"
    assert machine.run(f'eval "$(.venv/bin/python scripts/pip_index.py)"; {uv}', {}).returncode == 0
    machine.environment |= {"HTTPS_PROXY": f"http://127.0.0.1:{pypi.port}", "UV_OFFLINE": "1"}
    machine.environment |= {"REQUESTS_CA_BUNDLE": str(pypi.authority.file), "XDG_CACHE_HOME": str(machine.stubs)}

    good = audit()
    assert good.returncode == 0, good.stdout
    assert "No known vulnerabilities found" in good.stdout
    locks = "".join(file.read_text() for file in root.glob("requirements*.txt"))
    locked = set(re.findall(r"^([\w.-]+)==", locks, re.MULTILINE))
    assert len(pypi.asked) > 0.9 * len(locked)  # the rest is for other systems
    pypi.holes.add("flask")
    bad = audit(run_by_gitlab=True)
    assert bad.returncode == 1
    assert "PYSEC-2026-1" in bad.stdout
    pypi.is_away = True
    assert audit().returncode != 0
