"""Checks of what .env and the environment say: the secret, debugging, names, hosts, proxies."""

import difflib
import math
import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values
from flask import current_app

from app.platform.doctor import secrecy
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from config import MIN_SECRET_LENGTH, SAMPLE_SECRET, Config

NEW_SECRET = (  # the last line of .env may have no end
    "printf '\\nSECRET_KEY=%s\\n' \"$(python3 -c 'import secrets; print(secrets.token_urlsafe(48))')\" >> .env"
    "  # then scripts/reload.sh"
)
ENOUGH_BITS = 100  # estimated from the characters; 24 random bytes give more than this in any encoding
GIT_PATIENCE = 2  # seconds
ALSO_UNDERSTOOD = {"WEB_CONCURRENCY", "FLASK_ENV"}
LOOPBACK = ("127.", "localhost", "[::1]", "::1")
PAST_THE_PROXY = (
    "curl -m 5 http://<this machine>:<PORT>/health  # typed elsewhere: an answer means that a firewall lacks\n"
    "HOST=127.0.0.1  # only where the proxy runs on this machine"
)


def bits(secret: str) -> float:
    """An estimate of how hard it is to guess, from how evenly its characters come."""
    shares = [count / len(secret) for count in Counter(secret).values()]
    return -len(secret) * sum(share * math.log2(share) for share in shares)


@check("secret.strength", "Who guesses the secret signs a session for any user, and so is any user.")
def secret_is_strong(deployment: Deployment) -> Finding:
    """Can nobody guess SECRET_KEY?"""
    secret = str(current_app.secret_key or "")
    if len(secret) < MIN_SECRET_LENGTH:
        return fail(f"SECRET_KEY has {len(secret)} characters, fewer than {MIN_SECRET_LENGTH}.", NEW_SECRET)
    if SAMPLE_SECRET.search(secret):
        return fail("SECRET_KEY reads like a sample that others have copied, too.", NEW_SECRET)
    if bits(secret) < ENOUGH_BITS:
        return fail("SECRET_KEY has too little chance in it: it repeats itself.", NEW_SECRET)
    samples = [*deployment.root.glob("docs/*.md"), *deployment.root.glob("*.y*ml"), deployment.root / ".env.example"]
    for file in samples:
        if file.exists() and secret in file.read_text(encoding="utf-8"):
            return fail(f"SECRET_KEY stands in {file.name}, where everybody can read it.", NEW_SECRET)
    return ok("It is long, and looks random.")


@check("secret.fallbacks", "Each earlier secret still opens every session: one that leaked, or is weak, is a way in.")
def fallbacks_are_few_and_strong(deployment: Deployment) -> Finding:
    """Are SECRET_KEY_FALLBACKS few, strong, and others than the secret?"""
    earlier = [secret.get_secret_value() for secret in deployment.settings.SECRET_KEY_FALLBACKS]
    weak = [secret for secret in earlier if len(secret) < MIN_SECRET_LENGTH or SAMPLE_SECRET.search(secret)]
    if weak:
        return fail(f"{len(weak)} of {len(earlier)} are short or samples.", "SECRET_KEY_FALLBACKS=")
    if current_app.secret_key in earlier:
        return warn("The secret in use is among them: it was not changed.", NEW_SECRET)
    if len(earlier) > 2:
        newest = "SECRET_KEY_FALLBACKS=  # in .env: leave only the newest one"
        return warn(f"{len(earlier)} earlier secrets still count.", newest)
    return ok(f"{len(earlier)} earlier secrets count.")


@check("secret.git", "What was committed once is in every clone for ever, also after it was removed.")
def secrets_are_not_in_git(deployment: Deployment) -> Finding:
    """Is no secret in the git repository?"""
    if not (deployment.root / ".git").exists():
        return skip("this folder is no git repository.")
    if _git(deployment.root, "ls-files", "--", ".env", "instance"):
        untrack = "git rm -r --cached --ignore-unmatch .env instance"
        return fail(".env or instance/ is under version control.", f"{untrack}\n{NEW_SECRET}")
    in_use = secrecy.in_use(deployment)
    # From standard input: an argument could be read by every user of this machine.
    look = ("grep", "--fixed-strings", "--name-only", "-f", "-", "HEAD")
    long = {name: [part for part in some if len(part) >= secrecy.LONG] for name, some in in_use.items()}
    everything = "\n".join(secret for some in long.values() for secret in some)  # a line each; none is empty
    if everything and _git(deployment.root, *look, given=everything):
        known = [name for name, some in long.items() if some and _git(deployment.root, *look, given="\n".join(some))]
        return fail(f"{', '.join(known)} stands in a file that is under version control.", _renew(known))
    if before := _git(deployment.root, "log", "--all", "--patch", "--format=", "--", ".env"):
        if known := [name for name, some in in_use.items() if any(_is_value(secret, before) for secret in some)]:
            return fail(f".env was committed once: whoever has a clone can read {', '.join(known)}.", _renew(known))
        return ok(".env was committed once; its secrets are no longer in use.")
    return ok(f"Neither .env nor a secret of {secrecy.LONG} characters or more is in it.")


def _is_value(secret: str, text: str) -> bool:
    """A short one is the word of something else, too, unless it stands as a value, or as the password of a URL."""
    alone = rf"""(?<=[=:"',]){re.escape(secret)}(?=[@"'&,\s]|$)"""
    return secret in text if len(secret) >= secrecy.LONG else bool(re.search(alone, text, re.MULTILINE))


def _renew(names: list[str]) -> str:
    new = {"SECRET_KEY": NEW_SECRET, "SECRET_KEY_FALLBACKS": "SECRET_KEY_FALLBACKS="}
    of_server = "<the same with a new password>  # which the server has to know first"
    for name in names:
        new.setdefault(name, f"{name}={of_server if name.endswith('_URL') else '<a new one>'}")
    return "\n".join(new[name] for name in names)


def _git(root: Path, *arguments: str, given: str = "") -> str:
    """What git prints; raises OSError and SubprocessError where it can not be asked."""
    command = ["git", "-C", str(root), "-c", f"safe.directory={root}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=GIT_PATIENCE, check=False)
    if done.returncode > 1:  # grep: 1 is "nothing found"
        raise OSError(done.stderr.strip().partition("\n")[0])
    return done.stdout.strip()


@check("debug.off", "A debugger on a public site runs any code a visitor types; debug pages show source and settings.")
def debugging_is_off(deployment: Deployment) -> Finding:
    """Is everything off that is for developers?"""
    config = current_app.config
    switches = ("DEBUG", "TESTING", "PROPAGATE_EXCEPTIONS", "EXPLAIN_TEMPLATE_LOADING", "SQLALCHEMY_ECHO")
    on = [name for name in (*switches, "TRAP_HTTP_EXCEPTIONS") if config.get(name)]
    if current_app.debug and "DEBUG" not in on:
        on.append("debug")
    on += [name for name in ("FLASK_DEBUG", "PYTHONASYNCIODEBUG") if deployment.environ.get(name, "0") not in {"", "0"}]
    if deployment.settings.APP_ENV == "development":
        on.append("APP_ENV=development")
    return (
        fail(f"On: {', '.join(on)}.", _switched_off(deployment, on))
        if on
        else ok("Debugger, reloader and echo are off.")
    )


def _switched_off(deployment: Deployment, on: list[str]) -> str:
    """Each where it comes from: a variable, .env (which Flask's command makes variables of), or the code."""
    written = dotenv_values(deployment.root / ".env", encoding="utf-8")
    lines = [
        f"sed -i --follow-symlinks '/^{name}=/d' .env" if name in written else f"unset {name}"
        for name in ("FLASK_DEBUG", "PYTHONASYNCIODEBUG")
        if name in on
    ]
    if "APP_ENV=development" in on:
        is_variable = "APP_ENV" in deployment.environ and "APP_ENV" not in written
        lines.append("unset APP_ENV" if is_variable else "APP_ENV=production")
    if not lines:
        lines.append(f'git grep -nEw "{"|".join(name.upper() for name in on)}" app config.py  # and take it out')
    return "\n".join(lines)


@check("env.names", "A misspelt setting is no error: it is ignored, and its default is in force.")
def settings_are_spelt_right(deployment: Deployment) -> Finding:
    """Is every name in .env one that is read?"""
    known = {*Config.model_fields, *ALSO_UNDERSTOOD}
    written = dotenv_values(deployment.root / ".env", encoding="utf-8")
    if wrong := _misspelt(written, known):
        lines = "\n".join(f"sed -i --follow-symlinks 's/^{name}=/{meant}=/' .env" for name, meant in wrong.items())
        return fail(f"Not read from .env: {', '.join(wrong)}.", lines)
    if wrong := _misspelt([*deployment.environ, *written], known):
        lines = "\n".join(f"unset {name}  # {meant} is meant" for name, meant in wrong.items())
        return warn(f"Not read from the environment: {', '.join(wrong)}.", lines)
    return ok(f"{len(written)} names in .env, none of them nearly a setting's.")


def _misspelt(names: Iterable[str], known: set[str]) -> dict[str, str]:
    """The names that are no setting, but nearly one that is not there, too: with that one."""
    found, there = {}, {name.upper() for name in names}
    for name in names:
        close = [] if name.upper() in known else difflib.get_close_matches(name.upper(), known, 1, 0.85)
        if close and close[0] not in there:  # DATABASE_URL_OLD beside DATABASE_URL is somebody's note
            found[name] = close[0]
    return found


@check(
    "hosts.trusted", "A forged Host ends up in links, in mails and in caches: a password reset that leads elsewhere."
)
def hosts_are_named(deployment: Deployment) -> Finding:
    """Does TRUSTED_HOSTS name the hosts that are served?"""
    if hosts := deployment.settings.TRUSTED_HOSTS:
        return ok(f"Only {', '.join(hosts)}.")
    return warn(
        "TRUSTED_HOSTS is not set: every Host header is believed.",
        "TRUSTED_HOSTS=<name>  # as visitors type it, or several: <name>,www.<name>",
    )


@check("proxy.hops", "Who reaches the port past the proxy chooses his own address: no limit and no log holds.")
def proxies_are_counted_right(deployment: Deployment) -> Finding:
    """Is TRUSTED_PROXIES what stands in front, and can nobody go past it?"""
    hops, host = deployment.settings.TRUSTED_PROXIES, deployment.bound
    is_private = host.startswith(("unix:", *LOOPBACK))
    if hops and not is_private:
        if deployment.is_container:
            return skip(f"in a container HOST={host} is usual; that nobody goes past the proxy is seen from outside.")
        # A balancer, or nginx on another machine, needs it so. That it is open in fact is what live.bypass finds.
        seen = (
            f"{hops} proxies are believed. Who else reaches the port (HOST={host}) a firewall decides, not seen here."
        )
        return warn(seen, PAST_THE_PROXY)
    if is_private and not hops:
        seen = f"HOST={host}, so only a proxy brings visitors here, and all of them count as one: 127.0.0.1."
        return warn(seen, "TRUSTED_PROXIES=1")
    if "*" in deployment.environ.get("FORWARDED_ALLOW_IPS", ""):
        return warn(
            "FORWARDED_ALLOW_IPS=* is set; here it does nothing, elsewhere it trusts all.", "unset FORWARDED_ALLOW_IPS"
        )
    return ok(f"{hops} proxies, HOST={host}." if hops else "None: forwarded headers are ignored.")
