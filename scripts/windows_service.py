"""The application as a Windows service: starts with the machine, comes back when it dies, drains when it stops.

    .venv\\Scripts\\python scripts\\windows_service.py install [--account NAME]
    .venv\\Scripts\\python scripts\\windows_service.py start
    .venv\\Scripts\\python scripts\\windows_service.py stop       running requests are answered first
    .venv\\Scripts\\python scripts\\windows_service.py remove

In a prompt with administrator's rights, after scripts\\start.bat has made .venv. Several on one machine: --name shop.
See docs/windows.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # the host of the service knows this file's folder only

from config import Config, ConfigError, load_config  # noqa: E402
from scripts.preflight import PATIENCE, NotReadyError, wait_until_ready  # noqa: E402

try:
    import pywintypes
    import servicemanager
    import win32evtlogutil
    import win32service
    import win32serviceutil
    import winerror
except ImportError:
    sys.exit(
        "windows_service.py: pywin32 is missing. Install it: "
        ".venv\\Scripts\\python -m pip install --require-hashes -r requirements-windows.txt"
    )

DRAINED = 45  # seconds: running requests get 30, and their server ends what is left after 35
RESTART_AFTER = (5, 30, 60)  # seconds; the last one counts for all later deaths of a day
LONGEST_OUTPUT = 1024 * 1024  # bytes; then the file begins anew
PENDING = 10_000  # milliseconds in which Windows hears of us again


class Service(win32serviceutil.ServiceFramework):  # type: ignore[misc]
    """Runs `wsgi.py` as a process of its own, and lets go of its leash when the service stops.

    Its account can do little: nothing here may need more than to read the project and to write its instance folder.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._svc_name_ = arguments[0]
        self._state = win32service.SERVICE_START_PENDING
        self._server: subprocess.Popen[bytes] | None = None
        super().__init__(arguments)

    def SvcRun(self) -> None:  # noqa: N802
        """Returns when it was stopped. What it raises goes to the event log, and Windows starts it again."""
        self._report(win32service.SERVICE_START_PENDING)
        settings = load_config()
        file = output_file(settings)
        is_long = file.exists() and file.stat().st_size > LONGEST_OUTPUT
        with file.open("wb" if is_long else "ab") as output:
            prepare = self._run(settings, output, "-m", "flask", "--app", "wsgi", "prepare")
            while prepare.poll() is None:  # migrations take their time, and are never cut short
                self._report(win32service.SERVICE_START_PENDING)
                time.sleep(0.2)
            if prepare.returncode == 0:
                self._server = self._run(settings, output, "wsgi.py", "--prepared", "--leash")
                self._watch(self._server, settings)
        if self._state != win32service.SERVICE_STOP_PENDING:
            raise RuntimeError(f"the server has ended. {said_last(settings)}")
        servicemanager.LogInfoMsg(f"{self._svc_name_} has stopped")

    def _watch(self, server: "subprocess.Popen[bytes]", settings: Config) -> None:
        self._report(win32service.SERVICE_START_PENDING, int(PATIENCE + 10) * 1000)
        try:
            wait_until_ready(settings.HOST, settings.PORT, server)
        except NotReadyError as reason:
            if server.poll() is not None:
                return
            # It may be, later: the database is away.
            servicemanager.LogWarningMsg(f"{self._svc_name_} is not ready: {reason}")
        self._report(win32service.SERVICE_RUNNING)
        servicemanager.LogInfoMsg(f"{self._svc_name_} serves on {settings.HOST} port {settings.PORT}")
        server.wait()

    def SvcStop(self) -> None:  # noqa: N802
        """Returns at once: Windows shows that the service is stopping, until SvcRun has returned."""
        self._report(win32service.SERVICE_STOP_PENDING, DRAINED * 1000)
        if self._server and self._server.stdin:
            self._server.stdin.close()

    SvcShutdown = SvcStop

    def SvcInterrogate(self) -> None:  # noqa: N802
        self._report(self._state)

    def _report(self, state: int, hint: int = PENDING) -> None:
        self._state = state
        self.ReportServiceStatus(state, hint)

    def _run(self, settings: Config, output: IO[bytes], *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [Path(sys.executable).with_name("python.exe"), *arguments],
            cwd=PROJECT,
            env=os.environ | {"LOG_FILE": str(log_file(settings)), "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )


def log_file(settings: Config) -> Path:
    """What the application logs. Rotated."""
    return settings.LOG_FILE or settings.INSTANCE_PATH / "app.log"


def output_file(settings: Config) -> Path:
    """What is printed past the log: little, but the reason when the application does not start."""
    return settings.INSTANCE_PATH / "service.log"


def said_last(settings: Config) -> str:
    try:
        text = output_file(settings).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "Nothing was printed. See the Event Viewer: Windows Logs, Application."
    return "\n".join([f"The last lines of {output_file(settings)}:", *text.splitlines()[-15:]])


def host_program() -> Path:
    """pywin32's, beside the environment's python.exe: there it finds the environment, and has its libraries."""
    scripts = Path(sys.prefix) / "Scripts"
    source = Path(win32service.__file__).parent / "pythonservice.exe"
    base = Path(sys.base_prefix)
    for file in [source, Path(pywintypes.__file__), *base.glob("python3*.dll"), *base.glob("vcruntime*.dll")]:
        if not (scripts / file.name).exists() or file == source:
            shutil.copy(file, scripts)
    return scripts / source.name


def install(name: str, account: str | None) -> None:
    account = account or f"NT SERVICE\\{name}"
    settings = load_config()
    settings.INSTANCE_PATH.mkdir(parents=True, exist_ok=True)
    if "WindowsApps" in sys.base_prefix:
        sys.exit(
            "windows_service.py: a Python from the Microsoft Store runs for you only. Install one from python.org."
        )
    win32serviceutil.InstallService(
        f"{Path(__file__).resolve().with_suffix('')}.Service",
        name,
        f"{settings.APP_NAME} ({name})",
        startType=win32service.SERVICE_AUTO_START,
        userName=account,
        exeName=str(host_program()),
        description=f"Serves {PROJECT}. See docs\\windows.md there.",
    )
    with_service(name, let_it_come_back)
    # As this one can not: an account that may do little must not write to the registry.
    win32evtlogutil.AddSourceToRegistry(name, servicemanager.__file__)
    base, grants = Path(sys.base_prefix), [(PROJECT, "RX"), (settings.INSTANCE_PATH, "M")]
    if base.is_relative_to(Path.home().parent):  # where the installer puts it by default, and nobody else may read it
        grants.append((base, "RX"))
    for folder, rights in grants:
        print(f"{account} may {'change' if rights == 'M' else 'read'} {folder}")
        subprocess.run(["icacls", str(folder), "/grant", f"{account}:(OI)(CI){rights}", "/q"], check=True)
    print(f"Installed. Log: {log_file(settings)}, and the event log, source {name}.")


def let_it_come_back(service: Any) -> None:
    actions = [(win32service.SC_ACTION_RESTART, seconds * 1000) for seconds in RESTART_AFTER]
    recovery = {"ResetPeriod": 24 * 3600, "RebootMsg": "", "Command": "", "Actions": actions}
    win32service.ChangeServiceConfig2(service, win32service.SERVICE_CONFIG_FAILURE_ACTIONS, recovery)
    try:  # also when it says itself that it has failed, and not only when its process was killed
        win32service.ChangeServiceConfig2(service, win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True)
    except pywintypes.error as error:
        if error.winerror != winerror.ERROR_INVALID_LEVEL:  # what a service manager says that is not Windows' own
            raise


def with_service(name: str, change: Any) -> None:
    manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
    service = win32service.OpenService(manager, name, win32service.SERVICE_ALL_ACCESS)
    try:
        change(service)
    finally:
        win32service.CloseServiceHandle(service)
        win32service.CloseServiceHandle(manager)


def start(name: str) -> None:
    settings = load_config()  # so that a fault in it is told here, too
    win32serviceutil.StartService(name)
    if settled(name) != win32service.SERVICE_RUNNING:
        sys.exit(f"windows_service.py: it did not start. {said_last(settings)}")
    print("Started.")


def stop(name: str) -> None:
    if settled(name) != win32service.SERVICE_STOPPED:
        win32serviceutil.StopService(name)
        settled(name)
    print("Stopped.")


def settled(name: str) -> int:
    """Its state, as soon as it is neither starting nor stopping: Windows ends one that says nothing for long."""
    pending = (win32service.SERVICE_START_PENDING, win32service.SERVICE_STOP_PENDING)
    while (state := win32serviceutil.QueryServiceStatus(name)[1]) in pending:
        time.sleep(0.2)
    return int(state)


def remove(name: str) -> None:
    stop(name)
    win32serviceutil.RemoveService(name)
    win32evtlogutil.RemoveSourceFromRegistry(name)
    print("Removed. The folder, its data and its rights stay.")


REMEDIES = {
    winerror.ERROR_ACCESS_DENIED: "Open the prompt with administrator's rights.",
    winerror.ERROR_SERVICE_EXISTS: "It is installed already: remove it first.",
    winerror.ERROR_SERVICE_DOES_NOT_EXIST: "Install it first.",
    winerror.ERROR_SERVICE_ALREADY_RUNNING: "It runs already.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["install", "start", "stop", "remove"])
    parser.add_argument("--name", default="Groundwork", help="the service's short name (default: Groundwork)")
    parser.add_argument("--account", help="whose rights it has (default: NT SERVICE\\NAME, an account of its own)")
    options = parser.parse_args()
    try:
        if options.command == "install":
            install(options.name, options.account)
        else:
            {"start": start, "stop": stop, "remove": remove}[options.command](options.name)
    except ConfigError as error:
        sys.exit(str(error))
    except (pywintypes.error, subprocess.CalledProcessError) as error:
        reason = REMEDIES.get(getattr(error, "winerror", 0), "")
        sys.exit(f"windows_service.py: {getattr(error, 'strerror', error)} {reason}")


if __name__ == "__main__":
    main()
