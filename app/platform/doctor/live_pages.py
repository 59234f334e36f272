"""Live checks of what is sent to everybody: headers, cookies, errors, and what should not be there at all."""

import re
import secrets
from pathlib import Path

from app.platform.doctor.live_edge import as_shipped, of
from app.platform.doctor.observatory import grade, score
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn

GOOD_SCORE, LEAST_SCORE = 150, 130  # points of the HTTP Observatory; A+ begins at 100
ONCE = ("content-security-policy", "strict-transport-security", "x-content-type-options", "referrer-policy")
LEAKS = re.compile(
    r"Traceback \(most recent call|File \"[^\"]+\", line \d|werkzeug\.debug|__debugger__|sqlalchemy\.exc|"
    r"psycopg\.|sqlite3\.\w+Error|jinja2\.exceptions|SECRET_KEY|/site-packages/"
)
# What must not be sent, with what it would have in it; for an empty one the status decides.
PRIVATE = {
    "/metrics": "http_requests", "/.env": "=", "/.git/HEAD": "ref:", "/.git/config": "[core]", "/config.py": "import",
    "/instance/app.db": "SQLite", "/wsgi.py": "import", "/requirements.txt": "==", "/server-status": "Apache",
    "/nginx_status": "Active", "/console": "debugger", "/static/../config.py": "import", "/static/../../.env": "=",
    "/static/%2e%2e/%2e%2e/config.py": "import", "/uploads/../secret_key": "",
}  # fmt: skip


@check(
    "live.headers",
    "They are what is left when a text slips through unescaped, or a page is put into another's frame.",
    live=True,
)
def pages_have_their_headers(deployment: Deployment) -> Finding:
    """Do a page, an error and a static file have every security header, once?"""
    site = of(deployment)
    page, error = site.get("/"), site.get("/nothing-here")
    style = re.search(r"<link[^>]+href=\"([^\"]+\.css)\"", page.text)
    answers = {"/": page, "/nothing-here": error}
    if style and style[1].startswith("/"):
        answers[style[1]] = site.get(style[1].removeprefix(site.prefix))
    for path, answer in answers.items():
        for name in ONCE:
            count = len(answer.all(name))
            if count > 1:
                return fail(
                    f"{path} has {name} {count} times: the proxy and the application both set it.",
                    as_shipped(deployment),
                )
            if not count and (name != "strict-transport-security" or site.is_encrypted):
                return fail(f"{path} has no {name}.", as_shipped(deployment))
    points, reasons = score(page.headers, page.text)
    if points < GOOD_SCORE:
        lost = ", ".join(reason for reason, given in reasons if given < 0) or "not all extras"
        seen = f"{points} points, {grade(points)}: {lost}."
        if points < LEAST_SCORE:
            return fail(seen, as_shipped(deployment))
        return warn(seen, as_shipped(deployment))
    return ok(f"{points} points, {grade(points)}, as the HTTP Observatory counts.")


@check(
    "live.cookies",
    "A script reads a cookie without HttpOnly, who is on the way one without Secure: both log in with it.",
    live=True,
)
def cookies_are_guarded(deployment: Deployment) -> Finding:
    """Has every cookie all flags?"""
    site = of(deployment)
    cookies = site.get("/auth/login").all("Set-Cookie")
    if not cookies:
        return skip("/auth/login sets none.")
    for cookie in cookies:
        name, flags = cookie.partition("=")[0], {part.strip().lower() for part in cookie.split(";")[1:]}
        lacks = [flag for flag in ("httponly", *(["secure"] if site.is_encrypted else [])) if flag not in flags]
        if not flags & {"samesite=lax", "samesite=strict"}:
            lacks.append("samesite")
        if any(flag.startswith("domain=") for flag in flags):
            return fail(f"{name} goes to every subdomain.", 'git grep -n "SESSION_COOKIE_DOMAIN"  # and take it out')
        if lacks:
            return fail(
                f"{name} lacks {', '.join(lacks)}.",
                "TRUSTED_PROXIES=1" if "secure" in lacks else as_shipped(deployment),
            )
        if site.is_encrypted and not name.startswith(("__Host-", "__Secure-")):
            return warn(f"{name} has no prefix: http can overwrite it.", "TRUSTED_PROXIES=1")
        if len(cookie) > 4000:
            return warn(f"{name} has {len(cookie)} bytes: browsers drop it.", 'git grep -n "session\\["')
    return ok(", ".join(cookie.partition("=")[0] for cookie in cookies) + ".")


@check("live.health", "A balancer that can not ask, or is told too much, sends visitors to what is broken.", live=True)
def health_is_told(deployment: Deployment) -> Finding:
    """Do /health and /ready answer, briefly, and are they kept by nobody?"""
    site = of(deployment)
    alive, ready = site.get("/health"), site.get("/ready")
    if alive.status != 200:
        is_up = site.get("/").status < 500  # then it is something in front that does not ask the application
        fix = as_shipped(deployment) if is_up else "sudo systemctl restart groundwork"
        return fail(f"/health is {alive.status}.", fix)
    if ready.status not in {200, 403, 404}:  # a proxy may keep it to itself
        return fail(f"/ready is {ready.status}: {ready.text[:200]}", ".venv/bin/flask --app wsgi doctor --only db")
    for path, answer in (("/health", alive), ("/ready", ready)):
        if "no-store" not in answer["Cache-Control"] and answer.status == 200:
            return warn(f"{path} may be kept by a cache.", as_shipped(deployment))
        if answer.all("Set-Cookie"):
            return warn(f"{path} sets a cookie.", 'git grep -n "before_request"')
    return ok(f"After {alive.seconds * 1000:.0f} and {ready.seconds * 1000:.0f} ms.")


@check(
    "live.private",
    "Settings, history and numbers are the first that is asked of every new site, by programs.",
    live=True,
)
def private_paths_are_closed(deployment: Deployment) -> Finding:
    """Is nothing there that is nobody's business?"""
    site = of(deployment)
    found = []
    for path, mark in PRIVATE.items():
        answer = site.get(path)
        if answer.status == 200 and mark in answer.text and (mark or "html" not in answer["Content-Type"]):
            found.append(path)
    if found:
        return fail(f"Everybody gets {', '.join(found)}.", as_shipped(deployment))
    return ok(f"{len(PRIVATE)} places that others ask for: nothing.")


@check(
    "live.errors",
    "A traceback is a map for who looks for a way in; an answer that repeats what was asked runs it.",
    live=True,
)
def errors_tell_nothing(deployment: Deployment) -> Finding:
    """Do errors tell nothing of the inside, and repeat nothing unescaped?"""
    site = of(deployment)
    mark = f"<script>{secrets.token_hex(4)}</script>"
    json_type = {"Content-Type": "application/json"}
    answers = {
        "a page that is not there": site.get("/nothing-here"),
        "a script in the address": site.get(f"/{mark.replace('/', '%2f')}?q={mark}"),
        "a form without its token": site.ask("POST", "/auth/logout", body=b""),
        "JSON that is none": site.ask("POST", "/api/v1/tokens", headers=json_type, body=b'{"a": [}'),
        "JSON that is deep": site.ask("POST", "/api/v1/tokens", headers=json_type, body=b"[" * 100_000),
        "another method": site.ask("DELETE", "/about"),
        "a broken escape": site.get("/%ff%fe%00"),
    }
    for name, answer in answers.items():
        if leak := LEAKS.search(answer.text):
            return fail(f"{name} is answered with {leak[0][:40]!r}.", "APP_ENV=production")
        if mark in answer.text:
            return fail(f"{name} is repeated as it came.", "git grep -n '|safe' app/")
        if answer.status >= 500:
            return fail(f"{name} is answered with {answer.status}.", "sudo journalctl -u groundwork -n 50")
    folder = str(Path(__file__).resolve().parents[3])
    # In an image it is /app, and /static/app.css is no fault.
    named = re.compile(rf"(?<![\w.-]){re.escape(folder)}(?![\w-])")
    if folder != site.prefix and any(named.search(answer.text) for answer in answers.values()):
        return fail(f"An error names {folder}.", "APP_ENV=production")
    if re.search(r"\d", server := answers["a page that is not there"]["Server"]):
        return warn(f"The version is told: {server}.", as_shipped(deployment))
    return ok(f"{len(answers)} kinds of errors.")
