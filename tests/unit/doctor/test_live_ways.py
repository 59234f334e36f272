"""Each live check says each of the things that it can say of a site, and nothing of a good one."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from app.platform.doctor import live_pages, observatory
from app.platform.doctor.site import Site
from config import ROOT
from tests.deploy import authority
from tests.unit.doctor.conftest import assert_seen, look
from tests.unit.doctor.pretender import COOKIE, FORM, POLICY, TOLD, Quiet, Reply, Spoil, pretended

EVIL_ORIGIN = "https://evil.invalid"
OPEN_POLICY = POLICY.replace("'none';", "*;", 1)


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> authority.Authority:
    return authority.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(signer: authority.Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(signer, tmp_path_factory.mktemp("tls"), "90")


def issue(signer: authority.Authority, folder: Path, days: str, *names: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority, "DAYS", days)
        signer.issue(folder, *(names or ("www.example.com",)))
    return folder


@pytest.fixture(autouse=True)
def _trusted(signer: authority.Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(signer.file))


def at(path: str, **change: object) -> Spoil:
    """Of the answer for this path; `headers` come on top, and those that are "" go."""

    def spoil(reply: Reply) -> None:
        if reply.path == path:
            for name, value in change.items():
                if name == "headers":
                    assert isinstance(value, dict)
                    reply.headers = {key: text for key, text in (reply.headers | value).items() if text}
                else:
                    setattr(reply, name, value)

    return spoil


def told(**about: object) -> Spoil:
    return at("/doctor/seen", body=json.dumps(TOLD | about))


def cookie(text: str) -> Spoil:
    return at("/auth/login", headers={"Set-Cookie": text})


def allowing(origin: str) -> Spoil:
    def spoil(reply: Reply) -> None:
        if reply.environ.get("HTTP_ORIGIN") == origin:
            reply.headers["Access-Control-Allow-Origin"] = origin

    return spoil


def any_host(reply: Reply) -> None:
    reply.status = 200


def repeated_host(reply: Reply) -> None:
    reply.body = reply.environ["HTTP_HOST"]


def forged_link(reply: Reply) -> None:
    if name := reply.environ.get("HTTP_X_FORWARDED_HOST"):
        reply.headers["Location"] = f"https://{name}/auth/login"


def forged_scheme(reply: Reply) -> None:
    if reply.environ.get("HTTP_X_FORWARDED_PROTO") == "http" and reply.path == "/auth/login":
        reply.headers["Set-Cookie"] = COOKIE.replace("Secure; ", "")


def any_id(reply: Reply) -> None:
    reply.headers["X-Request-ID"] = reply.environ.get("HTTP_X_REQUEST_ID", "0123456789abcdef")


def every_websocket(reply: Reply) -> None:
    if reply.path == "/ws":
        reply.status = 101


def repeats(reply: Reply) -> None:
    if reply.environ["QUERY_STRING"]:
        reply.body = reply.environ["QUERY_STRING"].replace("%3C", "<").replace("%3E", ">")


def breaks_on_json(reply: Reply) -> None:
    if reply.path == "/api/v1/tokens":
        reply.status = 500


def large_bodies(reply: Reply) -> None:
    if reply.status == 413:
        reply.status = 200


def every_password(reply: Reply) -> None:
    if reply.path == "/auth/login":
        reply.status, reply.body = 200, FORM


def without(name: str) -> Spoil:
    return lambda reply: reply.headers.pop(name, None) and None


def public(path: str) -> Spoil:
    return at(path, headers={"Set-Cookie": COOKIE, "Cache-Control": "public, max-age=60"})


WAYS: list[tuple[str, str, str, Spoil]] = [
    ("live.answers", "FAIL", "With 502", at("/", status=502)),
    ("live.hosts", "FAIL", "names evil.invalid", repeated_host),
    ("live.hosts", "FAIL", "It is served: 200", any_host),
    ("live.forwarded", "FAIL", "gets into links", forged_link),
    ("live.forwarded", "FAIL", "takes Secure off", forged_scheme),
    ("live.forwarded", "FAIL", "chooses his address", told(client="203.0.113.7")),
    ("live.forwarded", "FAIL", "asked by http", told(scheme="http")),
    ("live.forwarded", "WARN", "the address 127.0.0.1", told(client="127.0.0.1")),
    ("live.process", "FAIL", "debugger", told(debug=True)),
    ("live.process", "FAIL", "root", told(user=0)),
    ("live.process", "WARN", "0.0.0 serves", told(version="0.0.0")),
    ("live.cors", "FAIL", "evil.invalid", allowing(EVIL_ORIGIN)),
    ("live.cors", "FAIL", "null", allowing("null")),
    ("live.websocket", "FAIL", "opens one", every_websocket),
    ("live.websocket", "WARN", "Ours does not", at("/ws", status=403)),
    ("live.request-id", "WARN", "no X-Request-ID", without("X-Request-ID")),
    ("live.request-id", "FAIL", "thousand characters", any_id),
    ("live.headers", "FAIL", "/a.css has no referrer-policy", at("/a.css", headers={"Referrer-Policy": ""})),
    ("live.headers", "FAIL", "2 times", at("/a.css", twice={"Referrer-Policy": "same-origin"})),
    ("live.headers", "FAIL", "scripts from anywhere", at("/", headers={"Content-Security-Policy": OPEN_POLICY})),
    ("live.headers", "WARN", "points", at("/", headers={"Cross-Origin-Embedder-Policy": ""})),
    ("live.cookies", "FAIL", "every subdomain", cookie(f"{COOKIE}; Domain=example.com")),
    ("live.cookies", "FAIL", "lacks secure", cookie(COOKIE.replace("Secure; ", ""))),
    ("live.cookies", "FAIL", "lacks httponly", cookie(COOKIE.replace("HttpOnly; ", ""))),
    ("live.cookies", "FAIL", "lacks samesite", cookie(COOKIE.replace("Lax", "None"))),
    ("live.cookies", "WARN", "no prefix", cookie(COOKIE.replace("__Host-", ""))),
    ("live.cookies", "WARN", "browsers drop it", cookie(COOKIE.replace("=1", f"={'1' * 4000}"))),
    ("live.health", "FAIL", "/health is 500", at("/health", status=500)),
    ("live.health", "FAIL", "/ready is 503", at("/ready", status=503)),
    ("live.health", "WARN", "/ready may be kept", at("/ready", headers={"Cache-Control": "max-age=60"})),
    ("live.health", "WARN", "/health sets a cookie", at("/health", headers={"Set-Cookie": COOKIE})),
    ("live.private", "FAIL", "/.env", at("/.env", status=200, body="SECRET=1")),
    ("live.private", "FAIL", "/.git/HEAD", at("/.git/HEAD", status=200, body="ref: refs/heads/main")),
    ("live.errors", "FAIL", "Traceback", at("/nothing-here", body="Traceback (most recent call last)")),
    ("live.errors", "FAIL", "repeated", repeats),
    ("live.errors", "FAIL", "500", breaks_on_json),
    ("live.errors", "FAIL", "names", at("/nothing-here", body=str(ROOT))),
    ("live.errors", "FAIL", "names", at("/nothing-here", body=f"in {ROOT}/config.py, line")),
    ("live.errors", "WARN", "nginx/1.22", at("/nothing-here", headers={"Server": "nginx/1.22"})),
    ("live.body-limit", "WARN", "200", large_bodies),
    ("live.static", "FAIL", "/ sets a cookie", public("/")),
    ("live.static", "FAIL", "/auth/login sets a cookie", public("/auth/login")),
    ("live.static", "WARN", "no-cache", at("/a.css", headers={"Cache-Control": "no-cache"})),
    ("live.static", "WARN", "no ETag", at("/a.css", headers={"ETag": ""})),
    ("live.static", "FAIL", "/a.css sets a cookie", at("/a.css", headers={"Set-Cookie": COOKIE})),
    ("live.compressed", "WARN", "/a.css is not", at("/a.css", headers={"Content-Encoding": ""})),
    ("live.compressed", "WARN", "no Vary", at("/a.css", headers={"Vary": ""})),
    ("live.login-limit", "FAIL", "no end", every_password),
]  # fmt: skip


@pytest.mark.parametrize(("identity", "status", "seen", "spoil"), WAYS, ids=[f"{way[0]} {way[2]}" for way in WAYS])
def test_the_one_thing_that_is_wrong_is_said(
    identity: str, status: str, seen: str, spoil: Spoil, app: Flask, certificate: Path
) -> None:
    with pretended(certificate, spoil) as site:
        assert_seen(look(app, identity, site=site), status, seen)


def test_an_origin_is_taken_out_where_it_stands_and_the_others_stay(
    make_app: Callable[..., Flask], certificate: Path
) -> None:
    with pretended(certificate, allowing(EVIL_ORIGIN)) as site:
        app = make_app(CORS_ORIGINS=("https://app.example", EVIL_ORIGIN))
        found = look(app, "live.cors", site=site)
        assert_seen(found, "FAIL", EVIL_ORIGIN)
        assert found.fix == "CORS_ORIGINS=https://app.example"
        found = look(make_app(), "live.cors", site=site)  # whoever repeats it, that setting does not
    assert "CORS_ORIGINS" not in found.fix
    assert "Access-Control-Allow-Origin" in found.fix


def test_nothing_is_said_of_a_good_site(app: Flask, certificate: Path) -> None:
    with pretended(certificate) as site:
        for identity in sorted({"live.tls", "live.redirect", *(way[0] for way in WAYS)}):
            found = look(app, identity, site=site)
            assert found.status == "OK", (identity, found)


def test_a_folder_with_a_short_name_is_not_seen_in_an_address(
    app: Flask, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pages, "__file__", "/app/app/platform/doctor/live_pages.py")  # as in an image
    for body, status in (("/static/app.css /static/css/app /apple /app-2", "OK"), ('open("/app/x.py")', "FAIL")):
        with pretended(certificate, at("/nothing-here", body=body)) as site:
            assert look(app, "live.errors", site=site).status == status


def test_a_clock_that_is_wrong_is_found(app: Flask, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended(certificate) as site:
        assert look(app, "host.clock", site=site).status == "OK"
    monkeypatch.setattr(Quiet, "date_time_string", lambda *_: "Sat, 01 Jan 2000 00:00:00 GMT")
    with pretended(certificate) as site:
        assert_seen(look(app, "host.clock", site=site), "WARN", "the site is -")


def test_a_bad_score_is_a_failure(app: Flask, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live_pages.LEAST_SCORE > observatory.EXTRAS_FROM
    with pretended(certificate, at("/", headers={"X-Content-Type-Options": "guess"})) as site:
        assert_seen(look(app, "live.headers", site=site), "WARN", "guessed")
    with pretended(certificate, at("/", headers={"Content-Security-Policy": "script-src *"})) as site:
        assert_seen(look(app, "live.headers", site=site), "FAIL", "anywhere")


# --- encryption ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "names", "status", "seen"),
    [
        ("3", (), "FAIL", "ends in"),
        ("14", (), "WARN", "ends in"),
        ("90", ("another.example",), "FAIL", "refused"),
    ],
)
def test_a_certificate_that_browsers_refuse_soon_is_found(
    days: str, names: tuple[str, ...], status: str, seen: str, app: Flask, signer: authority.Authority, tmp_path: Path
) -> None:
    with pretended(issue(signer, tmp_path / "tls", days, *names)) as site:
        assert_seen(look(app, "live.tls", site=site), status, seen)


@pytest.mark.parametrize(
    ("days", "name", "is_container", "said"),
    [
        ("-1", "www.example.com", False, ["sudo certbot renew && sudo systemctl reload nginx"]),
        ("90", "another.example", False, ["sudo certbot certonly", "sudo test -e", "sudo systemctl reload nginx"]),
        ("90", "another.example", True, ["sudo scripts/compose_certificate.sh www.example.com"]),
        ("-1", "www.example.com", True, ["sudo certbot renew && sudo scripts/compose_certificate.sh --from"]),
    ],
)
def test_one_that_has_ended_is_renewed_and_another_one_is_replaced(
    days: str, name: str, is_container: bool, said: list[str], app: Flask, signer: authority.Authority, machine: Path
) -> None:
    if is_container:
        (machine / ".dockerenv").touch()
    with pretended(issue(signer, machine / "tls", days, name)) as site:
        found = look(app, "live.tls", site=site, machine=machine)
    assert_seen(found, "FAIL", "refused")
    lines = found.fix.splitlines()
    assert len(lines) == len(said)
    assert [line for line, start in zip(lines, said, strict=True) if not line.startswith(start)] == []


def test_a_site_without_encryption_gets_it_first(app: Flask, certificate: Path, machine: Path) -> None:
    with pretended(certificate, plain=at("/", status=200)) as both:
        for host, name in (("www.example.com", "www.example.com"), ("127.0.0.1", "<name>")):
            site = Site(f"http://{host}:{both.http_port}", "127.0.0.1")
            for check in ("live.tls", "live.redirect"):
                found = look(app, check, site=site, machine=machine)
                assert_seen(found, "FAIL")
                assert f"sudo scripts/install-service.sh --domain {name} " in found.fix
                assert f"sudo certbot certonly --webroot -w /var/www/acme -d {name} " in found.fix
        (machine / ".dockerenv").touch()
        found = look(app, "live.tls", site=site, machine=machine)
    assert "COMPOSE_FILE=compose.yaml:compose.https.yaml" in found.fix


def old_protocol(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def weak_cipher(context: ssl.SSLContext) -> None:
    context.set_ciphers("ECDHE+AESGCM:AES128-SHA:@SECLEVEL=0")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("weaken", "seen"), [(old_protocol, "TLSv1.1 is spoken"), (weak_cipher, "A cipher with CBC")])
def test_encryption_that_can_be_broken_is_found(
    weaken: Callable[[ssl.SSLContext], None], seen: str, app: Flask, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    weaken(context)
    with pretended(certificate, context=context) as site:
        assert_seen(look(app, "live.tls", site=site), "FAIL", seen)


def test_http_that_does_not_lead_to_https_is_found(app: Flask, certificate: Path) -> None:
    with pretended(certificate, plain=at("/about", status=200)) as site:
        assert_seen(look(app, "live.redirect", site=site), "FAIL", "200")
    with pretended(certificate, plain=at("/about", headers={"Location": "https://evil.invalid/"})) as site:
        assert_seen(look(app, "live.redirect", site=site), "FAIL", "evil.invalid")
    with pretended(certificate, plain=at("/api/v1/anything", status=301)) as site:
        assert_seen(look(app, "live.redirect", site=site), "WARN", "A program")
