"""What browsers are told to allow: content policy, headers, other origins, redirects; CSRF on unsafe routes.

And what Werkzeug would read without a limit: thousands of form fields, numbers in the digits of every script.
"""

import functools
import io
import re
import secrets
from collections.abc import Callable
from functools import cached_property
from typing import IO, Any

from flask import Flask, Request, abort, current_app, make_response, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import Forbidden, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.routing import IntegerConverter
from werkzeug.sansio.http import parse_cookie

from app.extensions import LAST_KEY, csrf

UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NONCE = "groundwork.csp_nonce"  # key in the WSGI environment

# Rated by the HTTP Observatory's public rules; CSP is added per answer because of its nonce.
SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# Not includeSubDomains: a template must not decide that for hosts it does not serve.
HSTS = ("Strict-Transport-Security", "max-age=31536000")

_SELF = "'self'"
_POLICY = {
    "default-src": "'none'",
    "script-src": _SELF,
    "style-src": _SELF,
    "img-src": "'self' data:",  # data: for the icons inside Pico's style sheet
    "font-src": _SELF,
    "connect-src": _SELF,
    "manifest-src": _SELF,
    "form-action": _SELF,
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def admins_only(view: Callable[..., Any]) -> Callable[..., Any]:
    """For an extra's views. To all but admins they do not exist; to nobody, where no feature knows admins."""

    @functools.wraps(view)
    def guarded(**arguments: Any) -> Any:
        if not current_app.extensions.get("is_admin", bool)():
            abort(404)
        response = make_response(view(**arguments))
        response.headers["Cache-Control"] = "no-store"
        return response

    guarded.is_guard = True  # type: ignore[attr-defined]  # for `flask doctor`: not every decorator is one
    return guarded


class ContentPolicy:
    """The Content-Security-Policy, opened by CSP_EXTRA_SOURCES, with a nonce only where a page asked for one."""

    def __init__(self, extra_sources: str) -> None:
        policy = dict(_POLICY)
        for directive in filter(None, (part.strip() for part in extra_sources.split(";"))):
            name, _, sources = directive.partition(" ")
            policy[name] = f"{policy.get(name, _SELF)} {sources}"
        self._policy = policy
        # Another site's images and scripts come, where they are opened above, without their cookies.
        self.embedder = "credentialless" if extra_sources else "require-corp"
        self.without_nonce = "; ".join(f"{name} {sources}" for name, sources in policy.items())

    def with_nonce(self, nonce: str) -> str:
        inline = {"script-src", "style-src"}
        return "; ".join(
            f"{name} {sources} 'nonce-{nonce}'" if name in inline else f"{name} {sources}"
            for name, sources in self._policy.items()
        )


def csp_nonce() -> str:
    """For templates: `<script nonce="{{ csp_nonce() }}">`. Never inside something that is cached."""
    nonce: str = request.environ.setdefault(NONCE, secrets.token_urlsafe(16))
    return nonce


class CrossOrigin:
    """CORS by an exact list of origins; without a list nothing is added, and browsers refuse (Fetch standard)."""

    METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
    HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-CSRFToken, X-Request-ID"
    EXPOSED = "ETag, Link, Location, Retry-After, X-Request-ID"

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def headers(self, origin: str | None) -> list[tuple[str, str]]:
        """For any answer. `Vary` even without a match, so that a cache never mixes two origins' answers."""
        if origin not in self._origins or origin is None:
            return [("Vary", "Origin")]
        return [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", self.EXPOSED),
        ]

    def preflight(self, origin: str | None) -> list[tuple[str, str]]:
        """What comes on top in the answer to an asking OPTIONS request; browsers remember it for 10 minutes."""
        if origin not in self._origins:
            return []
        return [
            ("Access-Control-Allow-Methods", self.METHODS),
            ("Access-Control-Allow-Headers", self.HEADERS),
            ("Access-Control-Max-Age", "600"),
        ]


_LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def local_path(target: str | None, default: str = "/") -> str:
    """`target` when it is a path on this site, else `default`: for redirects to what a request asked for.

    One leading slash, no scheme, no host, no backslash, no control character: browsers read `//host`,
    `/\\host` and `https:host` as another site (WHATWG URL standard).
    """
    return target if target and _LOCAL_PATH.fullmatch(target) else default


class LimitedFormParser(FormDataParser):
    """Applies MAX_FORM_PARTS and MAX_FORM_MEMORY_SIZE to urlencoded forms too: Werkzeug does to multipart ones only."""

    def parse(self, stream: IO[bytes], mimetype: str, content_length: int | None, options: Any = None) -> Any:
        if mimetype == "application/x-www-form-urlencoded" and self.max_form_parts is not None:
            body = stream.read()  # no longer than MAX_CONTENT_LENGTH
            if body.count(b"&") >= self.max_form_parts or len(body) > (self.max_form_memory_size or len(body)):
                raise RequestEntityTooLarge
            stream = io.BytesIO(body)
        return super().parse(stream, mimetype, content_length, options)


class LimitedRequest(Request):
    form_data_parser_class = LimitedFormParser

    @cached_property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """Werkzeug's raises for one that is not UTF-8, which another site of this domain may have set."""
        text = self.headers.get("Cookie", "").encode("latin-1").decode("utf-8", "replace")
        return parse_cookie(text, self.dict_storage_class)  # type: ignore[return-value]


def require_own_page() -> None:
    """For what changes something in the name of a cookie: a page of ours has sent it, with the token of its session.

    Raises Forbidden (403) for a page of another site, and CSRFError (400) without a token. Browsers say where a request
    comes from in Sec-Fetch-Site (over https) or in Origin; only the host is compared, as a proxy may hide the scheme.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in {None, "same-origin", "none"} or (not site and origin and origin.split("://")[-1] != request.host):
        raise Forbidden("This was sent from a page of another site. Open ours, and send it from there.")
    csrf.protect()


class PlainInteger(IntegerConverter):
    regex = "[0-9]+"  # Werkzeug's \d+ gives a page one more address in each script that has digits


class RowKey(PlainInteger):
    """`<key:post_id>` in a rule: the number of a row. One larger than databases have is read as one that no row has."""

    def to_python(self, value: str) -> int:
        return min(int(value), LAST_KEY)  # the converter's own `max` makes it 405 for all methods of an address but one


class Application(Flask):
    """Flask, with the CSRF check in front of every view that an unsafe method reaches, whenever it was registered.

    Flask-WTF's own hook runs on every request, 7 µs each; safe ones need none. Views and blueprints that are marked
    with @csrf.exempt check for themselves who may call them.
    """

    request_class = LimitedRequest

    def dispatch_request(self) -> Any:
        if request.method in UNSAFE_METHODS and request.routing_exception is None and not csrf._is_exempt():
            require_own_page()
        return super().dispatch_request()


def init_app(app: Flask) -> None:
    app.url_map.converters |= {"int": PlainInteger, "key": RowKey}
    app.jinja_env.globals["csp_nonce"] = csp_nonce
    # The token lives as long as the session: a form left open over lunch must still post.
    app.config |= {"WTF_CSRF_TIME_LIMIT": None, "WTF_CSRF_CHECK_DEFAULT": False}
    app.config["WTF_CSRF_SSL_STRICT"] = False  # a browser may hide the referrer; require_own_page() sees better signs
    csrf.init_app(app)
    app.before_request_funcs[None].pop()  # Flask-WTF's hook: Application does its work
