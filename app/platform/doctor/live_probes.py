"""Live checks of limits, of what caches keep, and of what is compressed."""

import re
import secrets

from app.platform.doctor.live_edge import as_shipped, of
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.doctor.site import Answer, Site
from app.platform.doctor.visitor import Visitor

A_YEAR = 31_536_000
LONGEST_PATIENCE = 20  # wrong log-ins; our own limit is 10


def static_file(site: Site) -> tuple[str, Answer] | None:
    """The style sheet that the first page names, and its path."""
    for found in re.findall(r"<link[^>]+href=\"([^\"]+\.css)\"", site.get("/").text):
        if found.startswith("/"):
            path = found.removeprefix(site.prefix)
            return path, site.get(path, headers={"Accept-Encoding": "gzip"})
    return None


@check(
    "live.body-limit", "Who sends without an end fills the disk of the proxy, or the memory of the workers.", live=True
)
def bodies_have_a_limit(deployment: Deployment) -> Finding:
    """Is a body that is larger than MAX_CONTENT_LENGTH refused?"""
    site, limit = of(deployment), deployment.settings.MAX_CONTENT_LENGTH
    head = f"POST {site.prefix}/auth/login HTTP/1.1\r\nHost: {site.authority}\r\nConnection: close\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {limit + 1}\r\n\r\n"
    status = (site.send(head.encode()) or b"")[9:12].decode("ascii", "replace")
    if not status and site.server.startswith("Apache"):  # it reads on before it refuses
        status = str(site.ask("POST", "/auth/login", body=b"x" * (limit + 1)).status)
    if status != "413":
        return warn(
            f"{limit + 1} bytes are announced, and the answer is {status or 'silence'}.", as_shipped(deployment)
        )
    return ok(f"{limit:,} bytes.")


@check(
    "live.static",
    "Without a long life every page asks for every file again; a page that is kept shows another's data.",
    live=True,
)
def caches_keep_the_right_things(deployment: Deployment) -> Finding:
    """Are static files kept for a year, and pages by nobody else?"""
    site = of(deployment)
    page, form = site.get("/"), site.get("/auth/login")
    for path, answer in (("/", page), ("/auth/login", form)):
        if answer.all("Set-Cookie") and re.search(r"\bpublic\b|s-maxage", answer["Cache-Control"]):
            return fail(
                f"{path} sets a cookie, and every cache on the way may keep it.", 'git grep -n "Cache-Control" app/'
            )
    if (found := static_file(site)) is None:
        return skip("the first page names no style sheet of its own.")
    path, answer = found
    control = answer["Cache-Control"]
    age = re.search(r"max-age=(\d+)", control)
    if answer.status != 200 or not age or int(age[1]) < A_YEAR or "immutable" not in control:
        return warn(f"{path} is {answer.status}, Cache-Control: {control or 'none'}.", as_shipped(deployment))
    if not answer["ETag"] and not answer["Last-Modified"]:
        return warn(f"{path} has no ETag.", as_shipped(deployment))
    if answer.all("Set-Cookie"):
        return fail(f"{path} sets a cookie, and is kept by caches.", 'git grep -n "after_request" app/')
    return ok(f"{path}: {control}.")


@check("live.compressed", "Text takes four times as long on a telephone as it has to.", live=True)
def text_is_compressed(deployment: Deployment) -> Finding:
    """Is text compressed?"""
    if (found := static_file(of(deployment))) is None:
        return skip("the first page names no style sheet of its own.")
    path, answer = found
    if answer["Content-Encoding"] not in {"gzip", "br", "zstd"}:
        return warn(f"{path} is not: {len(answer.body):,} bytes.", as_shipped(deployment))
    if "accept-encoding" not in answer["Vary"].lower():
        return warn(f"{path} has no Vary: Accept-Encoding, and caches mix them up.", as_shipped(deployment))
    return ok(f"{path}: {answer['Content-Encoding']}.")


@check(
    "live.login-limit",
    "Without one, a program tries the thousand most used passwords of every name overnight.",
    live=True,
    last=True,
)
def wrong_passwords_are_counted(deployment: Deployment) -> Finding:
    """Is who types wrong passwords stopped, as this machine then is for three minutes?"""
    site = of(deployment)
    visitor, name = Visitor(site), f"doctor-{secrets.token_hex(4)}"
    form = visitor.get("/auth/login")
    if form.status != 200:
        return skip(f"/auth/login is answered with {form.status}.")
    for number in range(1, LONGEST_PATIENCE + 1):
        answer = visitor.send("/auth/login", form, name=name, password="wrong")  # noqa: S106 - it is meant to be
        if answer.status == 429:
            wait = f", for {answer['Retry-After']} s" if answer["Retry-After"] else ""
            return ok(f"At the {number}. try{wait}.")
        if answer.status not in {200, 401, 403, 422}:
            return skip(f"a wrong password is answered with {answer.status}.")
    return fail(f"{LONGEST_PATIENCE} wrong passwords, and no end.", 'git grep -n "WRONG_PASSWORDS" app/auth/views.py')
