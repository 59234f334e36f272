"""`flask doctor --url` through Apache: no false alarm."""

from benchmarks.servers import environment
from tests.deploy.apache.conftest import Way
from tests.deploy.edge import DOMAIN
from tests.deploy.nginx.test_doctor import examine


def test_apache_in_front_raises_no_false_alarm(proxy: Way) -> None:
    trust = {"TRUSTED_PROXIES": 1, "TRUSTED_HOSTS": DOMAIN, "HOST": "unix:/run/web.sock"}
    known = environment(proxy.instance, **trust, SSL_CERT_FILE=proxy.site.authority.file)
    # The limit of log-ins is left to the tests beside this one.
    _, found = examine(proxy.site, known, "--only", "live", "--skip", "live.login-limit")
    alarms = {name for name, each in found.items() if each["status"] != "OK"}
    others = alarms - {"live.process", "live.tls"}
    assert not others, [found[name] for name in others]  # root's, and good for two days
