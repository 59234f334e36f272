"""scripts/render.py puts the user's names into the files of deploy/."""

import subprocess
import sys

import pytest

from config import ROOT
from scripts.render import render

EXAMPLE = """\
listen 80;
listen [::]:443 ssl;
server_name www.example.com;
upstream groundwork { server unix:/run/groundwork/web.sock; }
limit_req_zone $binary_remote_addr zone=groundwork_auth:1m;
root /srv/groundwork/shared; # not /srv/groundwork-old
User=groundwork
"""
RENDERED = """\
listen 8080;
listen [::]:8443 ssl;
server_name shop.example;
upstream shop { server unix:/run/shop/web.sock; }
limit_req_zone $binary_remote_addr zone=shop_auth:1m;
root /srv/my.shop/shared; # not /srv/shop-old
User=www
"""


def test_every_example_value_is_replaced_where_it_is_meant() -> None:
    values = {"name": "shop", "base": "/srv/my.shop", "domain": "shop.example", "user": "www"}
    assert render(EXAMPLE, **values, http="8080", https="8443") == RENDERED


def test_without_values_the_example_stays_as_it_is() -> None:
    assert render(EXAMPLE) == EXAMPLE


@pytest.mark.parametrize(
    ("option", "value"), [("base", "relative"), ("base", "/a b"), ("domain", "a;b"), ("name", "A"), ("http", "eighty")]
)
def test_a_value_that_would_need_quotes_is_refused(option: str, value: str) -> None:
    command = [sys.executable, ROOT / "scripts/render.py", ROOT / "LICENSE", f"--{option}", value]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"render.py: --{option} {value!r} is not of the form")
    assert refused.stdout == ""


def test_the_pages_for_errors_carry_the_name_of_the_application() -> None:
    page = (ROOT / "deploy/nginx/pages/error.html").read_text(encoding="utf-8")
    assert "Groundwork" not in (named := render(page, name="shop"))
    assert named.count(">Shop<") == 1
    assert named.count("· Shop</title>") == 1
    assert render(page, name="shop", title="Über uns").count("Über uns") == 2
