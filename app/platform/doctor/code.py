"""Checks of what serves, and of what is served: Gunicorn's file, the release, the packages, Python."""

import ast
import re
import sys
from collections import defaultdict
from datetime import date
from importlib import metadata
from shlex import quote, split
from typing import Any

from app.extensions import db
from app.platform.database import _POSTGRES_LIMITS, utc_now
from app.platform.doctor.host import servers
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn

# The day on which Python's developers mend nothing more: https://devguide.python.org/versions/
END_OF_LIFE = {
    "3.11": date(2027, 10, 31), "3.12": date(2028, 10, 31), "3.13": date(2029, 10, 31), "3.14": date(2030, 10, 31),
}  # fmt: skip
RESTORE = "git checkout gunicorn.conf.py"


def gunicorn_settings(deployment: Deployment) -> dict[str, Any]:
    """What gunicorn.conf.py says in so many words. It is read and not run: it would patch and prepare this process."""
    tree = ast.parse((deployment.root / "gunicorn.conf.py").read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:
                found[target.id] = None  # computed
    return found


def gunicorn_options(deployment: Deployment) -> list[str]:
    """What comes on top of the file: GUNICORN_CMD_ARGS, the unit's command, the commands of servers that run."""
    lines = [deployment.environ.get("GUNICORN_CMD_ARGS", ""), deployment.unit.get("GUNICORN_CMD_ARGS", "")]
    lines.append(deployment.unit.get("ExecStart", ""))
    options = [option for line in lines for option in split(line)]
    for number in servers(deployment):
        command = (deployment.machine / "proc" / str(number) / "cmdline").read_bytes().decode(errors="replace")
        options += command.split("\0")
    return options


def computed(settings: dict[str, Any], *names: str) -> str:
    """Why nothing can be said of these; "" where each stands in the file, or is left to Gunicorn."""
    unknown = [name for name in names if name in settings and settings[name] is None]
    return f"gunicorn.conf.py computes {', '.join(unknown)}." if unknown else ""


@check(
    "server.parser", "Two servers that read a request differently let one visitor write into the request of another."
)
def requests_are_read_strictly(deployment: Deployment) -> Finding:
    """Does Gunicorn refuse ambiguous requests, and trust no header by itself?"""
    if not (deployment.root / "gunicorn.conf.py").exists():
        return fail("gunicorn.conf.py is missing, so Gunicorn's own defaults are in force.", RESTORE)
    settings, options = gunicorn_settings(deployment), " ".join(gunicorn_options(deployment))
    wanted = {"http_parser": "python", "secure_scheme_headers": {}, "forwarder_headers": "", "header_map": "drop"}
    unknown = computed(settings, *wanted)
    wrong = [name for name, value in wanted.items() if settings.get(name) != value and name not in unknown]
    if settings.get("header_map") == "refuse":
        wrong.remove("header_map")
    if wrong:
        return fail(f"Not as it should be: {', '.join(wrong)}.", RESTORE)
    dangerous = r"--http-parser[ =](?!python)|--header-map[ =]dangerous|--permit-|--strip-header-spaces|--casefold"
    if found := re.search(dangerous, options):
        return fail(f"The command line overrules the file: {found[0].strip()}.", "unset GUNICORN_CMD_ARGS")
    if unknown:
        return skip(unknown)
    return ok("The strict parser is pinned, and no forwarded header counts before the gateway.")


@check(
    "deploy.preload", "A worker that is replaced loads whatever is on the disk at that moment: half of two releases."
)
def workers_are_of_one_release(deployment: Deployment) -> Finding:
    """Do all workers run the code that was loaded at the start?"""
    options = gunicorn_options(deployment)
    if "--reload" in options:
        return fail("Gunicorn restarts its workers at every change of a file.", "unset GUNICORN_CMD_ARGS")
    file = deployment.root / "gunicorn.conf.py"
    settings = gunicorn_settings(deployment) if file.exists() else {}
    if unknown := computed(settings, "preload_app"):
        return skip(unknown)
    if settings.get("preload_app") is not True:
        return fail("preload_app is off: broken code on the disk takes the site down with the next worker.", RESTORE)
    return ok("Loaded once, before the workers begin.")


@check(
    "deploy.inplace", "While files are copied over the code that runs, visitors get half of each; there is no way back."
)
def releases_have_folders(deployment: Deployment) -> Finding:
    """Is this a release of its own, and not the folder that is edited?"""
    if (deployment.root / "RELEASE").exists():
        return ok("It is a release: a new one comes beside it.")
    if deployment.is_container:
        return ok("It is an image: a new one comes beside it.")
    return warn("This folder is served from where it is edited or pulled into.", "scripts/deploy.sh /srv/groundwork")


@check("server.timeouts", "A worker that is ended before its database gives up leaves the visitor without an answer.")
def timeouts_fit_each_other(deployment: Deployment) -> Finding:
    """Does each wait longer than what it waits for?"""
    if not (deployment.root / "gunicorn.conf.py").exists():
        return skip("there is no gunicorn.conf.py.")
    settings, unit = gunicorn_settings(deployment), deployment.unit
    statement = int(_POSTGRES_LIMITS["statement_timeout"].removesuffix("s"))
    if unknown := computed(settings, "timeout", "graceful_timeout"):
        return skip(unknown)
    timeout, graceful = (int(settings.get(name, 30)) for name in ("timeout", "graceful_timeout"))  # Gunicorn's default
    if db.engine.dialect.name == "postgresql" and min(timeout, graceful) <= statement:
        return warn(f"Gunicorn waits {min(timeout, graceful)} s, a statement of the database {statement}.", RESTORE)
    stop = re.fullmatch(r"(\d+)s?", unit.get("TimeoutStopSec", ""))
    if unit and (not stop or int(stop[1]) <= graceful):
        waits = f"{stop[1]} s" if stop else "90 s, its default, or what it says"
        fix = f"sudo scripts/install-service.sh {deployment.base}"
        return warn(f"systemd kills after {waits}, Gunicorn finishes requests for {graceful} s.", fix)
    proxy = deployment.machine / "etc/nginx/groundwork/proxy.conf"  # where scripts/install-service.sh puts it
    gives_up = re.search(
        r"^proxy_read_timeout (\d+)s;", proxy.read_text(encoding="utf-8") if proxy.exists() else "", re.M
    )
    if gives_up and int(gives_up[1]) <= timeout:
        fix = f"sudo scripts/install-service.sh {deployment.base}"
        return warn(f"nginx gives up after {gives_up[1]} s, Gunicorn on a stuck worker after {timeout}.", fix)
    return ok(f"Gunicorn {timeout} s, a stop {graceful} s, a statement {statement} s.")


@check("server.recycling", "A slow leak grows until the kernel ends a process in the middle of its requests.")
def workers_are_replaced(deployment: Deployment) -> Finding:
    """Is each worker replaced after a while, and never all of them at once?"""
    if not (deployment.root / "gunicorn.conf.py").exists():
        return fail("gunicorn.conf.py is missing: a worker lives for ever.", RESTORE)
    settings, options = gunicorn_settings(deployment), " ".join(gunicorn_options(deployment))
    if found := re.search(r"--max-requests(-jitter)?[ =]0\b", options):
        return warn(f"The command line overrules the file: {found[0]}.", "unset GUNICORN_CMD_ARGS")
    if unknown := computed(settings, "max_requests", "max_requests_jitter"):
        return skip(unknown)
    most, jitter = (int(settings.get(name) or 0) for name in ("max_requests", "max_requests_jitter"))
    if not most or not jitter:
        return warn(f"After {most:,} requests, with {jitter:,} more by chance.", RESTORE)
    return ok(f"After {most:,} requests, and up to {jitter:,} more by chance.")


SANDBOX = ("NoNewPrivileges", "ProtectSystem", "PrivateTmp", "CapabilityBoundingSet")


@check("server.sandbox", "What breaks into the server then has all that its user has, and not only this site's folder.")
def unit_is_locked_up(deployment: Deployment) -> Finding:
    """Is the server locked up, by systemd or as a container?"""
    if unit := deployment.unit:
        if lacking := [name for name in SANDBOX if unit.get(name, "no") in {"no", "false"}]:
            return warn(f"Not set: {', '.join(lacking)}.", f"sudo scripts/install-service.sh {deployment.base}")
        return ok(f"{', '.join(SANDBOX)}.")
    # Of a container, as the kernel tells of this process: proc_pid_status(5).
    process = deployment.machine / "proc/self/status"
    if not deployment.is_container or not process.exists():
        return skip("no unit of systemd serves this folder, and it is no container.")
    status = dict(line.split(":", 1) for line in process.read_text(encoding="ascii", errors="replace").splitlines())
    mounts = (deployment.machine / "proc/mounts").read_text(encoding="utf-8").splitlines()
    root = next((line.split()[3].split(",") for line in reversed(mounts) if line.split()[1] == "/"), [])
    so = {
        "no-new-privileges": status.get("NoNewPrivs", "").strip() == "1",
        "cap_drop: ALL": not int(status.get("CapBnd", "1").strip(), 16),
        "read_only": "ro" in root,
    }
    if lacking := [name for name, is_so in so.items() if not is_so]:
        fix = "docker compose up --detach --force-recreate web worker  # compose.yaml has them"
        return warn(f"Not set for this container: {', '.join(lacking)}.", fix)
    return ok(f"{', '.join(so)}.")


@check("deps.locked", "What was tested is not what runs: a package that came by itself was looked at by nobody.")
def packages_are_those_of_the_lock(deployment: Deployment) -> Finding:
    """Are the installed packages those of requirements.txt, with their hashes?"""
    lock = deployment.root / "requirements.txt"
    if not lock.exists():
        return skip("there is no requirements.txt.")
    install = ".venv/bin/python -m pip install --require-hashes -r requirements.txt"
    blocks = re.findall(
        r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)(.*(?:\n\s+.*)*)", lock.read_text(encoding="utf-8"), re.MULTILINE
    )
    if unhashed := [name for name, _, rest in blocks if "--hash=" not in rest]:
        return warn(f"Without a hash: {', '.join(unhashed[:5])}.", "git checkout requirements.txt")
    other, locked = [], defaultdict[str, list[tuple[str, bool]]](list)
    for name, version, rest in blocks:
        locked[name].append((version, ";" in rest.partition("\n")[0]))
    for name, versions in locked.items():  # several where the platform or Python's version decides
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "" if any(depends for _, depends in versions) else "missing"
        if installed and installed not in {version for version, _ in versions}:
            other.append(f"{name} {installed}, not {' or '.join(version for version, _ in versions)}")
    if other:
        return warn(f"Others than locked: {'; '.join(other[:5])}.", install)
    return ok(f"{len(locked)} packages, all as locked.")


@check("deps.python", "A Python past its end gets no repairs, also for holes that are known to everybody.")
def python_is_maintained(deployment: Deployment) -> Finding:
    """Is this Python still maintained?"""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    end = END_OF_LIFE.get(version)
    if end is None:
        return skip(f"what becomes of Python {version} is not known here.")
    left = (end - utc_now().date()).days
    if left < 90:
        seen = f"Python {version} {'is not maintained any more' if left < 0 else f'ends in {left} days'}."
        after = "after installing a newer Python"
        if deployment.root.parent.name == "releases":
            return warn(seen, f"cd <repository> && scripts/deploy.sh {quote(str(deployment.base))}  # {after}")
        if deployment.is_container:
            newer = "cd <repository> && docker compose up --detach --build  # with a newer PYTHON in Dockerfile"
            return warn(seen, newer)
        # stop.sh fails where nothing runs; and where several run, of which it stops none.
        if servers(deployment):
            return warn(seen, f"scripts/stop.sh && rm -r .venv && scripts/start.sh -d  # {after}")
        return warn(seen, f"rm -r .venv && scripts/start.sh -d  # {after}, where nothing runs")
    return ok(f"Python {version}, until {end}.")
