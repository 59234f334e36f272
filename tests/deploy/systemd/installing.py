"""What the tests of scripts/install-service.sh have in common: where it is, what it leaves, how it is cut off."""

from tests.deploy.machine import BASE, Machine

SCRIPT = f"{BASE}/current/scripts/install-service.sh"
DOMAIN = "www.example.com"
NOTHING = "Nothing to do: groundwork is installed like this already.\n"
_CUTTING = """#!/bin/sh
case "$*" in *"{command}"*) kill -KILL $PPID; exit 1 ;; esac
exec /usr/bin/systemctl.whole "$@"
"""


def what_is_there(machine: Machine) -> list[str]:
    """Every file with its owner, mode and time of change, where the script could have been at work.

    In the instance folder, without the times, the databases and what the worker leaves: the application is at work.
    """
    of_others = ["!", "-name", "worker-*", "!", "-name", "*.db*"]
    without_time = ["-path", "*/shared/instance*", "-printf", "%p %u %g %m\\n"]
    listing = machine.run(
        "find", "/etc", "/srv", *of_others, "(", *without_time, "-o", "-printf", "%p %u %g %m %T@\\n", ")"
    )
    return sorted(listing.splitlines())


def edit(machine: Machine, file: str, old: str, new: str) -> None:
    """Changes a text of the current release."""
    path = machine.path(f"{BASE}/releases/first/{file}")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def install_until(machine: Machine, command: str, *options: str) -> None:
    """Runs the script, and kills it when it is about to call `systemctl <command>`."""
    program, whole = machine.path("/usr/bin/systemctl"), machine.path("/usr/bin/systemctl.whole")
    program.rename(whole)
    program.write_text(_CUTTING.format(command=command))
    program.chmod(0o755)
    killed = machine.try_run(SCRIPT, *options, BASE)
    whole.replace(program)
    assert killed.returncode in {-9, 137}, killed.stdout + killed.stderr
