"""scripts/windows_service.py with wine's service manager: what it shows of a service, and what the service does."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.running import free_port, get, wait_until
from tests.servers.windows.someone import HalfSent, use
from tests.servers.wine import Windows, settings_for_pip


class Administrator:
    """Somebody with a prompt in the project's folder."""

    def __init__(self, windows: Windows, clone: Path) -> None:
        self.windows, self.clone, self.port = windows, clone, free_port()
        self.name = f"groundwork-{self.port}"
        self.python = clone / ".venv" / "Scripts" / "python.exe"
        self.set(PORT=self.port)

    def set(self, **settings: object) -> None:
        settings = {"HOST": "127.0.0.1", "WORKERS": 2} | settings
        (self.clone / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def pip(self, *arguments: str) -> tuple[int, str]:
        return self.windows.run(self.python, "-m", "pip", *arguments, cwd=self.clone, seconds=120, **settings_for_pip())

    def service(self, command: str, *options: str) -> tuple[int, str]:
        command_line = (self.python, "scripts\\windows_service.py", command, "--name", self.name, *options)
        return self.windows.run(*command_line, cwd=self.clone, seconds=90)

    def state(self) -> str:
        """What `sc query` shows: RUNNING, STOPPED, or its message when there is no such service."""
        _, output = self.windows.run("sc", "query", self.name, cwd=self.clone)
        shown = re.search(r"STATE\s*:\s*\d\s+(\w+)", output)
        return shown[1] if shown else output


@pytest.fixture(scope="module")
def administrator(windows: Windows, installed: Path) -> Iterator[Administrator]:
    administrator = Administrator(windows, installed)
    # Wine ends its services with the last program that somebody has started; Windows would not.
    session = windows.start(windows.python, "-c", "import time; time.sleep(900)", cwd=installed)
    yield administrator
    administrator.service("remove")
    (installed / ".env").unlink()
    session.kill()


def test_without_pywin32_it_says_how_to_install_it(administrator: Administrator) -> None:
    code, output = administrator.service("install")
    assert code == 1
    (advice,) = re.findall(r"python -m pip (.+)", output)
    assert administrator.pip(*advice.split())[0] == 0


def test_a_service_that_is_not_installed_can_not_be_started(administrator: Administrator) -> None:
    code, output = administrator.service("start")
    assert code == 1
    assert "Install it first." in output


def test_it_is_installed_with_an_account_of_its_own(administrator: Administrator) -> None:
    code, output = administrator.service("install")
    assert code == 0, output
    assert f"NT SERVICE\\{administrator.name} may change" in output
    assert administrator.state() == "STOPPED"
    key = f"HKLM\\SYSTEM\\CurrentControlSet\\Services\\{administrator.name}"
    shown = administrator.windows.run("reg", "query", key, "/v", "ObjectName", cwd=administrator.clone)[1]
    assert f"NT SERVICE\\{administrator.name}" in shown


def test_it_is_not_installed_twice(administrator: Administrator) -> None:
    code, output = administrator.service("install")
    assert code == 1
    assert "remove it first" in output


def test_a_fault_in_the_settings_is_named(administrator: Administrator) -> None:
    administrator.set(PORT="many")
    code, output = administrator.service("start")
    administrator.set(PORT=administrator.port)
    assert code == 1
    assert "PORT" in output


def test_when_it_does_not_start_the_reason_is_shown(administrator: Administrator) -> None:
    with socket.socket() as other_program:
        other_program.bind(("127.0.0.1", administrator.port))
        other_program.listen()
        code, output = administrator.service("start")
    assert code == 1
    assert f"127.0.0.1:{administrator.port} can not be used" in output
    assert administrator.state() == "STOPPED"


def test_it_starts_and_serves(administrator: Administrator) -> None:
    code, output = administrator.service("start")
    assert code == 0, output
    assert administrator.state() == "RUNNING"
    assert get(administrator.port, "/ready")[0] == 200
    use(administrator.port, "hedy")
    log = (administrator.clone / "instance" / "app.log").read_text(encoding="utf-8")
    assert "Waitress with 2 processes" in log
    assert '"/auth/login"' in log


def test_a_stop_lets_a_post_finish_that_is_half_sent(administrator: Administrator) -> None:
    late = HalfSent(administrator.port, "katherine")
    stop = administrator.windows.start(
        administrator.python,
        "scripts\\windows_service.py",
        "stop",
        "--name",
        administrator.name,
        cwd=administrator.clone,
    )
    late.wait_until_nobody_else_is_let_in()
    assert administrator.state() == "STOP_PENDING"
    assert late.finish() == 303
    assert stop.end(60) == 0, stop.output
    assert administrator.state() == "STOPPED"


def test_a_server_that_was_killed_is_a_failure_that_windows_sees(administrator: Administrator) -> None:
    assert administrator.service("start")[0] == 0
    log = (administrator.clone / "instance" / "app.log").read_text(encoding="utf-8")
    server = re.findall(r"serving on .*, pid (\d+)", log)[-1]
    administrator.windows.kill(int(server))
    wait_until(lambda: administrator.state() == "STOPPED", 40)
    _, shown = administrator.windows.run("sc", "query", administrator.name, cwd=administrator.clone)
    assert re.search(r"WIN32_EXIT_CODE\s*: 1066", shown), "Windows starts it again after an exit code that is not 0"


def test_it_is_removed(administrator: Administrator) -> None:
    assert administrator.service("remove")[0] == 0
    assert administrator.state() not in {"RUNNING", "STOPPED"}
