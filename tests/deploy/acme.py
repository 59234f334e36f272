"""A certificate authority that is asked as Let's Encrypt is: Pebble, its makers' own for tests, and certbot.

    with acme(folder, address="127.0.0.1", http_port=8080) as authority:
        run(["certbot", "certonly", ..., *authority.options], env=os.environ | authority.environment)

It asks `address` for whatever name, at `http_port`, and trusts nobody's word.
"""

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.authority import Authority
from tests.servers.running import Running, free_port, wait_until


@dataclass(frozen=True)
class Acme:
    options: tuple[str, ...]  # of certbot, which then needs nothing outside `folder`
    environment: dict[str, str]
    folder: Path  # certbot's /etc/letsencrypt
    root: Path  # what a client has to trust


@contextmanager
def acme(folder: Path, address: str, http_port: int) -> Iterator[Acme]:
    own = Authority(folder / "own")  # of the authority's own site
    own.issue(folder / "tls", "localhost")
    asked, managed, names = free_port(), free_port(), free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{asked}",
        "managementListenAddress": f"127.0.0.1:{managed}",
        "certificate": str(folder / "tls/fullchain.pem"),
        "privateKey": str(folder / "tls/privkey.pem"),
        "httpPort": http_port,
        "tlsPort": 1,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    answers = ["pebble-challtestsrv", f"-dns01=127.0.0.1:{names}", f"-defaultIPv4={address}", "-defaultIPv6="]
    answers += ["-http01=", "-https01=", "-tlsalpn01=", f"-management=127.0.0.1:{free_port()}"]
    serves = ["pebble", f"-config={folder}/pebble.json", f"-dnsserver=127.0.0.1:{names}", "-strict=false"]
    with ExitStack() as stack:
        lookups = Running(answers)
        stack.callback(lookups.kill)
        authority = Running(serves, env=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
        stack.callback(authority.kill)
        context = ssl.create_default_context(cafile=own.file)

        def issuer() -> bytes | None:
            try:
                with urllib.request.urlopen(f"https://localhost:{managed}/roots/0", context=context) as answer:
                    found: bytes = answer.read()
                    return found
            except OSError:
                return None

        root = folder / "root.pem"
        root.write_bytes(wait_until(issuer, 20, lambda: authority.output + lookups.output))
        places = ("--config-dir", "--work-dir", "--logs-dir")
        options = [part for name in places for part in (name, str(folder / "letsencrypt"))]
        options += ["--server", f"https://localhost:{asked}/dir", "--non-interactive", "--agree-tos"]
        options += ["--register-unsafely-without-email", "--no-random-sleep-on-renew"]
        yield Acme(tuple(options), {"REQUESTS_CA_BUNDLE": str(own.file)}, folder / "letsencrypt", root)
