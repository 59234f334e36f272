"""The score that the public rules of the HTTP Observatory (version 1.6) give a page: 100, less faults, plus extras.

Only what the headers and the HTML of one page decide; the extras count only for a page without grave faults.
"""

import re
from collections.abc import Sequence

EXTRAS_FROM = 90  # points before the extras
SIX_MONTHS = 15_768_000  # seconds
PRIVATE_REFERRERS = {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
GRADES = ((100, "A+"), (90, "A"), (85, "A-"), (80, "B+"), (70, "B"), (65, "B-"), (60, "C+"), (50, "C"), (0, "D or F"))

Points = list[tuple[str, int]]


def score(headers: Sequence[tuple[str, str]], html: str) -> tuple[int, Points]:
    """The points, and what each rule gave; a header that comes twice counts as a fault."""
    points = [*_once(headers), *_policy(_value(headers, "content-security-policy")), *_cookies(headers)]
    points += [*_transport(headers), *_isolation(headers), *_scripts(html)]
    base = 100 + sum(given for _, given in points if given < 0)
    extras = sum(given for _, given in points if given > 0)
    return max(base + (extras if base >= EXTRAS_FROM else 0), 0), points


def grade(points: int) -> str:
    return next(letter for least, letter in GRADES if points >= least)


def _value(headers: Sequence[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _once(headers: Sequence[tuple[str, str]]) -> Points:
    names = [name.lower() for name, _ in headers if name.lower() not in {"set-cookie", "vary", "link"}]
    return [(f"{name} more than once", -20) for name in {name for name in names if names.count(name) > 1}]


def _policy(text: str) -> Points:
    if not text:
        return [("no content policy", -25)]
    policy = {name: set(rest) for name, *rest in (part.split() for part in text.split(";") if part.strip())}
    scripts = policy.get("script-src", policy.get("default-src", {"*"}))
    objects = policy.get("object-src", policy.get("default-src", {"*"}))
    points = []
    if (scripts | objects) & {"'unsafe-inline'", "data:", "https:", "http:", "*"}:
        points.append(("scripts from anywhere", -20))
    if "'unsafe-eval'" in scripts:
        points.append(("eval", -10))
    if not points and not policy.get("style-src", set()) & {"'unsafe-inline'", "data:", "https:"}:
        strict = policy.get("default-src") == {"'none'"} and policy.get("form-action", {"*"}) <= {"'none'", "'self'"}
        points.append(("strict content policy", 10 if strict else 5))
    if policy.get("frame-ancestors") in ({"'none'"}, {"'self'"}):
        points.append(("frame-ancestors", 5))
    return points


def _cookies(headers: Sequence[tuple[str, str]]) -> Points:
    points = []
    for cookie in (value for name, value in headers if name.lower() == "set-cookie"):
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        points += [] if "secure" in flags else [("a cookie without Secure", -40)]
        points += [] if "httponly" in flags else [("a cookie without HttpOnly", -30)]
        points += [] if flags & {"samesite=lax", "samesite=strict"} else [("a cookie without SameSite", -20)]
    found = any(name.lower() == "set-cookie" for name, _ in headers)
    return points or ([("cookies with all flags", 5)] if found else [])


def _transport(headers: Sequence[tuple[str, str]]) -> Points:
    age = re.search(r"max-age=(\d+)", _value(headers, "strict-transport-security"))
    if age is None:
        return [("no HSTS", -20)]
    return [] if int(age[1]) >= SIX_MONTHS else [("HSTS for less than six months", -10)]


def _isolation(headers: Sequence[tuple[str, str]]) -> Points:
    points = [] if _value(headers, "x-content-type-options") == "nosniff" else [("content types are guessed", -5)]
    private = _value(headers, "referrer-policy") in PRIVATE_REFERRERS
    points += [("private referrer", 5)] if private else [("no referrer policy", -5)]
    for name, good in (
        ("cross-origin-opener-policy", {"same-origin"}),
        ("cross-origin-resource-policy", {"same-origin", "same-site"}),
        ("cross-origin-embedder-policy", {"require-corp", "credentialless"}),
    ):
        points += [(name, 10)] if _value(headers, name) in good else []
    universal = _value(headers, "access-control-allow-origin") == "*"
    if universal and _value(headers, "access-control-allow-credentials") == "true":
        points.append(("any site may read with cookies", -50))
    return points


def _scripts(html: str) -> Points:
    scripts = re.findall(r"<script[^>]*\ssrc=\"([^\"]+)\"([^>]*)>", html)
    foreign = [source for source, rest in scripts if "//" in source and "integrity=" not in rest]
    if foreign:
        return [("scripts of other sites without integrity", -5)]
    return [("integrity of every script", 5)] if scripts and all("integrity=" in rest for _, rest in scripts) else []
