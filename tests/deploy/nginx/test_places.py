"""The files work where people put them, without a warning."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from config import ROOT
from tests.deploy.edge import edge
from tests.deploy.nginx.conftest import Front

DOCUMENT = ROOT / "docs/nginx.md"
# What the packages of nginx.org, Fedora and Alpine have in their http context, as far as it could meet with ours.
OTHER_STOCK = """
user www-data;
worker_processes auto;
error_log /var/log/nginx/error.log notice;
events { worker_connections 1024; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent';
    access_log /var/log/nginx/access.log main;
    sendfile on;
    keepalive_timeout 65;
    types_hash_max_size 4096;
    server_tokens off;
    client_max_body_size 1m;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    ssl_session_cache shared:SSL:2m;
    gzip_vary on;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    include /etc/nginx/conf.d/*.conf;
}
"""


@pytest.mark.parametrize("file", ["groundwork.conf", "groundwork-uwsgi.conf", "prefixes.conf"])
@pytest.mark.parametrize("stock", [None, OTHER_STOCK], ids=["sites-available", "conf.d"])
def test_a_file_works_in_both_places_without_a_warning(file: str, stock: str | None, folder: Path, run: Path) -> None:
    with edge(folder, run, file, "default.conf", stock=stock) as site:  # asserts that nginx -t has none
        assert site.plain("/").status == 301


def test_a_file_works_without_the_default_server(front: Front, folder: Path, run: Path) -> None:
    with edge(folder, run, "groundwork.conf") as site:
        assert site.get("/about").status == 200
        assert site.get("/about", headers={"Host": "evil.test"}).status == 400  # TRUSTED_HOSTS of the application


def test_the_documented_commands_put_every_file_in_its_place(tmp_path: Path) -> None:
    (commands,) = re.findall(r"```sh\n(cd /srv/groundwork/current\n.+?)```", DOCUMENT.read_text(), re.DOTALL)
    commands = commands.replace("/srv/groundwork/current", str(ROOT)).replace("/etc/nginx", str(tmp_path))
    subprocess.run(["sh", "-euc", commands], check=True, timeout=60)
    placed = {file.name for file in tmp_path.rglob("*") if file.is_file()}
    shipped = {file.name for file in (ROOT / "deploy/nginx").rglob("*") if file.is_file()}
    assert shipped - placed == {"groundwork-uwsgi.conf", "prefixes.conf"}


def test_two_applications_with_names_of_their_own_share_one_nginx(tmp_path: Path) -> None:
    """As scripts/render.py --name writes them: no zone, log format or upstream has the same name."""
    render = ["python3", str(ROOT / "scripts/render.py")]
    named: Callable[[str], set[str]] = lambda text: set(  # noqa: E731
        re.findall(r"(?m)zone=([\w-]+):|^upstream ([\w-]+)|^log_format ([\w-]+)|shared:([\w-]+):", text)
    )
    texts = []
    for name in ("shop", "forum"):
        files = [
            ROOT / "deploy/nginx" / file for file in ("groundwork.conf", "snippets/http.conf", "snippets/tls.conf")
        ]
        command = [[*render, str(file), "--name", name, "--base", f"/srv/{name}"] for file in files]
        texts.append("".join(subprocess.run(c, check=True, capture_output=True, text=True).stdout for c in command))
    assert len(named(texts[0])) >= 4
    assert not named(texts[0]) & named(texts[1])
