"""Makes of a line that mends something one that can be typed here: in a folder to edit, a release, or an image."""

import re
from shlex import quote

from app.platform.doctor.registry import Deployment

_DOTENV = re.compile(r"(?<![\w./-])\.env(?![\w.-])")


def settings_file(deployment: Deployment) -> str:
    """Where its settings are written: a release has a link to those of the site, which `sed -i` would replace."""
    file = deployment.root / ".env"
    return quote(str(file.resolve())) if file.is_symlink() else ".env"


def settings_place(deployment: Deployment) -> str:
    """Where a line like NAME=value belongs, and what is to be done then."""
    if deployment.is_container and not (deployment.root / ".env").is_symlink():  # scripts/deploy.sh made it in there
        return "as a variable of the container, which is then made anew"
    return f"in {settings_file(deployment)}, then scripts/reload.sh"


def typeable(deployment: Deployment, fix: str) -> str:
    if not (deployment.root / ".venv").exists():  # an image
        fix = fix.replace(".venv/bin/", "")
    return "\n".join(_line(deployment, line) for line in fix.splitlines())


def _line(deployment: Deployment, line: str) -> str:
    if not line.startswith("git "):
        return _DOTENV.sub(lambda _: settings_file(deployment), line)
    return line if (deployment.root / ".git").exists() else _in_repository(deployment, line)


def _in_repository(deployment: Deployment, line: str) -> str:
    """A release and an image have no history: what is mended there is gone with the next one."""
    command, _, comment = line.replace(" && scripts/reload.sh", "").partition("  # ")
    if deployment.root.parent.name == "releases":
        again = f"scripts/deploy.sh {quote(str(deployment.base))}"
    elif deployment.is_container:
        again = "docker compose up --detach --build"
    else:
        again = f"copy it to {quote(str(deployment.root))}"
    if command.startswith("git checkout") and not again.startswith("copy"):
        return f"cd <repository> && {command} && {again}"
    return f"cd <repository> && {command}  # {f'{comment}, ' if comment else ''}then {again}"
