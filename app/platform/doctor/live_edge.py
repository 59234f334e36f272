"""Live checks of the way to the site: does it answer, is it encrypted, does http lead to https?"""

import re
import socket
import ssl
import time

from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.doctor.site import Site

AGAIN = ".venv/bin/flask --app wsgi doctor --url"
DAY = 86400
HAS_ENDED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
LOOPBACK = "127."
WEAK = "AES256-SHA:AES128-SHA:AES256-SHA256:AES128-SHA256:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"


def of(deployment: Deployment) -> Site:
    """The site; examination.py asks no live check without one."""
    if deployment.site is None:
        raise LookupError("no --url")
    return deployment.site


def as_shipped(deployment: Deployment) -> str:
    """What puts the files of deploy/nginx and the units in place again, and changes nothing else: docs/systemd.md."""
    site = of(deployment)
    if deployment.is_container:  # the files are in the image of the server in front
        return "docker compose up --detach --build nginx  # elsewhere: what stands in front of the containers"
    if site.server.startswith("Apache"):
        return f"less docs/apache.md  # render deploy/apache/groundwork.conf for {site.host} again, as it says"
    return f"sudo scripts/install-service.sh --domain {site.host} {deployment.base}"


def encrypted(deployment: Deployment) -> str:
    """What puts https in front of a site that has none: docs/nginx.md, docs/systemd.md, docs/containers.md."""
    name = _name(of(deployment))
    if deployment.is_container:
        return (
            "printf '\\nCOMPOSE_FILE=compose.yaml:compose.https.yaml\\n' >> .env  # where compose.yaml is\n"
            f"sudo scripts/compose_certificate.sh {name} && docker compose up --detach --build"
            "  # elsewhere: what stands in front of the containers"
        )
    own = "sudo openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7"
    files = "-keyout /etc/ssl/groundwork/privkey.pem -out /etc/ssl/groundwork/fullchain.pem"
    return (
        "sudo mkdir -p /etc/ssl/groundwork /var/www/acme\n"
        f"[ -e /etc/ssl/groundwork/fullchain.pem ] || {own} -subj /CN={name} {files}  # nginx needs one to start\n"
        f"sudo scripts/install-service.sh --domain {name} {deployment.base}\n{certificate(deployment)}"
    )


def certificate(deployment: Deployment) -> str:
    """What gets one that browsers believe in the place of another."""
    site = of(deployment)
    if deployment.is_container:
        return f"sudo scripts/compose_certificate.sh {_name(site)}  # where compose.yaml is"
    live = f"/etc/letsencrypt/live/{_name(site)}"
    return (
        f"sudo certbot certonly --webroot -w /var/www/acme -d {_name(site)} --deploy-hook '{_reload(site)}'\n"
        f"sudo test -e {live} && sudo rm -r /etc/ssl/groundwork && sudo ln -s {live} /etc/ssl/groundwork\n"
        f"sudo {_reload(site)}"
    )


def renewal(deployment: Deployment) -> str:
    """Of one that certbot has got; or it is renewed already, and the server was not told."""
    if deployment.is_container:
        place = "sudo scripts/compose_certificate.sh --from /etc/letsencrypt/live/groundwork"
        return f"sudo certbot renew && {place}  # where compose.yaml is"
    return f"sudo certbot renew && sudo {_reload(of(deployment))}"


def _reload(site: Site) -> str:
    return f"systemctl reload {'apache2' if site.server.startswith('Apache') else 'nginx'}"


def _name(site: Site) -> str:
    """No authority signs for a number."""
    return site.host if re.search(r"\.[a-z]", site.host) else "<name>"


@check("live.answers", "It is down.", live=True)
def site_answers(deployment: Deployment) -> Finding:
    """Does the site answer?"""
    site = of(deployment)
    try:
        answer = site.get("/")
    except OSError as error:
        return fail(f"It does not: {error}", "sudo journalctl -u groundwork -u nginx --since '10 minutes ago'")
    if answer.status >= 500:
        return fail(f"With {answer.status}.", "sudo journalctl -u groundwork --since '10 minutes ago'")
    if elsewhere := site.leads_to:
        return fail(f"It leads to {elsewhere}, where nobody looked.", f"{AGAIN} {elsewhere}")
    return ok(f"With {answer.status}, after {answer.seconds * 1000:.0f} ms.")


def _old_protocol(site: Site) -> str:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        if _agrees(site, version, "ALL:@SECLEVEL=0"):
            return version.name.replace("_", ".")
    return ""


def _agrees(site: Site, version: ssl.TLSVersion, ciphers: str) -> bool:
    import warnings

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only what it speaks is looked at
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that these versions are old is the point
            context.minimum_version = context.maximum_version = version
        context.set_ciphers(ciphers)
        with site.open(context=context):
            return True
    except (OSError, ValueError):
        return False


@check(
    "live.tls",
    "Browsers refuse a certificate that has ended or is another's, and old ciphers can be read by others.",
    live=True,
)
def encryption_is_strong(deployment: Deployment) -> Finding:
    """Is the certificate good for weeks, and is only strong encryption spoken?"""
    site = of(deployment)
    if not site.is_encrypted:
        return fail("The site is asked by http.", encrypted(deployment))
    try:
        with site.open() as connection:
            shown = connection.getpeercert() or {}  # type: ignore[attr-defined]
            spoken = connection.version()  # type: ignore[attr-defined]
    except ssl.SSLError as error:
        has_ended = getattr(error, "verify_code", None) == HAS_ENDED
        fix = renewal(deployment) if has_ended else certificate(deployment)
        return fail(f"The certificate is refused: {getattr(error, 'verify_message', '') or error.reason}.", fix)
    days = (ssl.cert_time_to_seconds(shown["notAfter"]) - time.time()) / DAY
    if days < 7:
        return fail(f"The certificate ends in {days:.0f} days.", renewal(deployment))
    if old := _old_protocol(site):
        return fail(f"{old} is spoken.", as_shipped(deployment))
    if _agrees(site, ssl.TLSVersion.TLSv1_2, WEAK):
        return fail("A cipher with CBC or without forward secrecy is spoken.", as_shipped(deployment))
    if days < 21:
        return warn(f"The certificate ends in {days:.0f} days.", renewal(deployment))
    return ok(f"{spoken}, {days:.0f} more days.")


@check(
    "live.redirect",
    "Who types the name without https:// is otherwise read, and led elsewhere, by anybody on the way.",
    live=True,
)
def http_leads_to_https(deployment: Deployment) -> Finding:
    """Does http lead people to https, and programs nowhere?"""
    site = of(deployment)
    if not site.is_encrypted:
        return fail("There is no https.", encrypted(deployment))
    copy = as_shipped(deployment)
    try:
        page = site.get("/about", plain=True)
        program = site.get("/api/v1/anything", plain=True, headers={"Accept": "application/json"})
    except ConnectionRefusedError:
        return ok(f"Nothing listens on port {site.http_port}.")
    if page.status not in {301, 308} or not page["Location"].startswith(f"https://{site.host}"):
        return fail(f"http is answered with {page.status} {page['Location']}".rstrip() + ".", copy)
    if program.status < 400:
        return warn(
            f"A program that asks by http is answered with {program.status}, and sends its token in the open.", copy
        )
    return ok(f"{page.status} for people, {program.status} for programs.")


@check(
    "live.bypass",
    "Past the proxy a visitor writes X-Forwarded-For himself: his address is whatever he likes.",
    live=True,
)
def nobody_goes_past_the_proxy(deployment: Deployment) -> Finding:
    """Is the application's own port closed to all but the proxy?"""
    hops, host = deployment.settings.TRUSTED_PROXIES, deployment.bound
    if not hops:
        return skip("TRUSTED_PROXIES is 0: nothing that a proxy says is believed.")
    if host.startswith("unix:"):
        return ok("It listens on a unix socket.")
    address, port = own_address(), deployment.settings.PORT
    if address.startswith(LOOPBACK):
        return skip("this machine has no address but its own loopback.")
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return ok(f"{address}:{port} is closed.")
    if deployment.is_container:
        return skip("in a container the port is open for its neighbours; who else reaches it is seen from outside.")
    return fail(f"{address}:{port} is open.", "HOST=127.0.0.1")


def own_address() -> str:
    """The address by which this machine reaches others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
