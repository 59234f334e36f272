"""Live checks of what the site believes: names, forged headers, origins, ids, malformed requests."""

import base64
import os
import re
import secrets

from app.platform.doctor.live_edge import as_shipped, of
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.doctor.site import PATIENCE

REFUSAL = re.compile(rb"HTTP/1\.[01] (4\d\d|501) ")
EVIL = "evil.invalid"
FORGED_CLIENT = "203.0.113.7"  # an address for documentation: nobody's
FORGED = {
    "X-Forwarded-For": FORGED_CLIENT, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "http", "X-Real-IP": FORGED_CLIENT,
    "Forwarded": f"for={FORGED_CLIENT};host={EVIL};proto=http", "X-Forwarded-Prefix": "/evil",
}  # fmt: skip
REPEATED = (
    "sudo grep -rn Access-Control-Allow-Origin /etc/nginx /etc/apache2  # what the proxy adds: take it out\n"
    'git grep -n "Access-Control-Allow-Origin" app/  # only app/platform/security.py says it as shipped'
)


@check("live.hosts", "A link, a mail or a cached page that names another's host leads your visitors there.", live=True)
def other_hosts_are_refused(deployment: Deployment) -> Finding:
    """Is a Host that is not ours refused, and not repeated?"""
    own = of(deployment).get("/")
    try:
        answer = of(deployment).get("/", headers={"Host": EVIL})
    except ConnectionError:
        return ok("The connection is closed without an answer.")
    if EVIL in answer.text or EVIL in str(answer.headers):
        return fail(f"The answer ({answer.status}) names {EVIL}.", f"TRUSTED_HOSTS={of(deployment).host}")
    if answer.status < 400 or answer.status == own.status:
        return fail(f"It is served: {answer.status}.", f"TRUSTED_HOSTS={of(deployment).host}")
    return ok(f"With {answer.status}.")


@check(
    "live.forwarded",
    "Limits, logs and bans go by the address: who may choose his own is stopped by none of them.",
    live=True,
)
def forged_headers_are_not_believed(deployment: Deployment) -> Finding:
    """Are X-Forwarded-* of a visitor ignored?"""
    site = of(deployment)
    led = site.get("/auth/account", headers=FORGED)
    if EVIL in str(led.headers) + led.text or "/evil" in led["Location"]:
        return fail("X-Forwarded-Host or -Prefix of a visitor gets into links.", as_shipped(deployment))
    login = site.get("/auth/login", headers=FORGED)
    if site.is_encrypted and any("secure" not in cookie.lower() for cookie in login.all("Set-Cookie")):
        return fail("X-Forwarded-Proto of a visitor takes Secure off the cookie.", as_shipped(deployment))
    told = site.impression(FORGED)
    if not told:
        return skip(
            "links and cookies are right; for the address run it where the site runs: it tells who has its SECRET_KEY."
        )
    if told["client"] == FORGED_CLIENT:
        return fail("X-Forwarded-For of a visitor is believed: he chooses his address.", as_shipped(deployment))
    if told["scheme"] != ("https" if site.is_encrypted else "http"):
        return fail(f"The application believes that it is asked by {told['scheme']}.", "TRUSTED_PROXIES=1")
    if told["client"] in {"127.0.0.1", "::1", None} and deployment.settings.TRUSTED_PROXIES == 0 and site.is_encrypted:
        return warn(f"All visitors have the address {told['client']}.", "TRUSTED_PROXIES=1")
    return ok(f"They are: the visitor is {told['client']}.")


@check(
    "live.process",
    "What breaks into a process of root owns the machine; a debugger runs what a visitor types.",
    live=True,
)
def right_process_serves(deployment: Deployment) -> Finding:
    """Is it this release that serves, without a debugger, and not as root?"""
    from app.platform.version import version

    told = of(deployment).impression()
    if not told:
        return skip("run it where the site runs: it tells this only to who has its SECRET_KEY.")
    if told["debug"]:
        return fail("The debugger is on.", "APP_ENV=production")
    if told["user"] == 0:
        return fail("The workers are root's.", as_shipped(deployment))
    if told["version"] != version():
        return warn(f"{told['version']} serves, this is {version()}.", "scripts/reload.sh")
    return ok(f"{told['version']}, as user {told['user']}.")


@check("live.cors", "A page of any site then reads what your visitors may read, in their name.", live=True)
def other_origins_are_refused(deployment: Deployment) -> Finding:
    """Does no page of another site read ours?"""
    site = of(deployment)
    for path in ("/", "/api/v1/me"):
        for origin in (f"https://{EVIL}", "null", f"https://{site.host}.{EVIL}"):
            answer = site.get(path, headers={"Origin": origin})
            allowed, credentials = answer["Access-Control-Allow-Origin"], answer["Access-Control-Allow-Credentials"]
            if allowed == origin or (allowed == "*" and credentials):
                others = [listed for listed in deployment.settings.CORS_ORIGINS if listed != origin]
                if origin in deployment.settings.CORS_ORIGINS:
                    return fail(f"{path} may be read by {origin}.", f"CORS_ORIGINS={','.join(others)}")
                return fail(f"{path} may be read by {origin}, which CORS_ORIGINS does not list.", REPEATED)
    return ok("None that is not listed.")


@check(
    "live.websocket", "A page of any site then opens a connection in your visitor's name, and reads along.", live=True
)
def websockets_ask_for_the_origin(deployment: Deployment) -> Finding:
    """Is a WebSocket of another site's page refused?"""
    site, key = of(deployment), base64.b64encode(os.urandom(16)).decode()
    lines = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
    answers = []
    for origin in (f"https://{EVIL}", site.url.removesuffix(site.prefix) if site.prefix else site.url):
        head = [
            f"GET {site.prefix}/ws?channel=doctor HTTP/1.1",
            f"Host: {site.authority}",
            f"Origin: {origin}",
            *lines,
            "",
            "",
        ]
        answers.append((site.send("\r\n".join(head).encode()) or b"")[9:12].decode("ascii", "replace"))
    evil, own = answers
    if evil == "101":
        return fail(f"{EVIL} opens one.", 'git grep -n "Origin" app/extras/push/websocket.py')
    if own in {"404", "501", "426"}:
        return skip(f"there are no WebSockets here: {own}.")
    if own != "101":
        return warn(f"Ours does not open one either: {own or 'no answer'}.", as_shipped(deployment))
    return ok(f"{evil} for another site, 101 for ours.")


@check(
    "live.request-id",
    "An id that visitors choose makes the log say what they like; without one nothing is found in it.",
    live=True,
)
def request_ids_are_ours(deployment: Deployment) -> Finding:
    """Has each answer an id, and is a bad one of a visitor replaced?"""
    site = of(deployment)
    bad = "x" * 1000
    first, second = site.get("/about"), site.get("/about", headers={"X-Request-ID": bad})
    if not first["X-Request-ID"]:
        return warn("Answers have no X-Request-ID.", as_shipped(deployment))
    if bad in second["X-Request-ID"] or len(first.all("X-Request-ID")) != 1:
        return fail("A thousand characters of a visitor became the id.", as_shipped(deployment))
    return ok(f"{first['X-Request-ID'][:12]}…")


def malformed(host: str, path: str) -> dict[str, bytes]:
    """Requests that two servers may read differently, and what a debugger of the last century repeats.

    Not a folded header: a proxy may unfold it (RFC 9112, 5.2), as Apache does, and then it is none for the next server.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
    smuggled = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    chunked = b"0\r\n\r\n" + smuggled
    mark = secrets.token_hex(4).encode()
    return {
        "both lengths": head + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
        "two lengths": head + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "a negative length": head + b"Content-Length: -1\r\n\r\n",
        "a chunked that is spelt badly": head + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked,
        "two hosts": f"GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: {EVIL}\r\n\r\n".encode(),
        "a blank before the colon": f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-A : b\r\n\r\n".encode(),
        "a length that is no number": head + b"Content-Length: 4x\r\n\r\nabcd",
        "a chunk without a length": head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabcd\r\n0\r\n\r\n",
        "TRACE": b"TRACE " + f"{path} HTTP/1.1\r\nHost: {host}\r\nX-Mark: ".encode() + mark + b"\r\n\r\n",
    }


@check(
    "live.malformed",
    "What the proxy and the application read differently, one visitor uses to speak in another's name.",
    live=True,
)
def malformed_requests_are_refused(deployment: Deployment) -> Finding:
    """Is every ambiguous request refused?"""
    site = of(deployment)
    if (status := site.get("/about").status) != 200:  # who refuses everything proves nothing
        return skip(f"what is well-formed is not taken either: /about is {status}.")
    taken = []
    requests = malformed(site.authority, f"{site.prefix}/about")
    for name, data in requests.items():
        if (answer := site.send(data, PATIENCE)) is None:
            taken.append(f"{name} (silence)")
            break  # it would be so with each
        if (answer and not REFUSAL.match(answer)) or answer.count(b"HTTP/1.1 ") > 1 or b"\r\nX-Mark" in answer:
            taken.append(f"{name} ({answer[9:12].decode('ascii', 'replace')})")
    if taken:
        return fail(f"Taken: {', '.join(taken)}.", "git checkout gunicorn.conf.py && scripts/reload.sh")
    return ok(f"{len(requests)} kinds, all refused.")
