"""Who is believed at the door: proxies as many as were declared, hosts that are served, requests that are whole."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from app.platform.gateway import Gateway
from app.platform.metrics import RequestMetrics
from config import TestingConfig
from tests.unit.conftest import Echo

Ask = Callable[..., Client]
PROXY = {"REMOTE_ADDR": "10.0.0.9"}


def status_of(client: Client, environ: dict[str, Any]) -> int:
    """Werkzeug's client would mend such requests before they arrive."""
    return int(run_wsgi_app(client.application, environ, buffered=True)[1][:3])


# --- proxies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hops", "forwarded_for", "client"),
    [
        (0, "1.1.1.1", "10.0.0.9"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, "6.6.6.6,1.1.1.1,2.2.2.2", "1.1.1.1"),
        (2, "2.2.2.2", "2.2.2.2"),
        (1, "1.1.1.1:5678", "1.1.1.1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "2001:DB8:0::1", "2001:db8::1"),
        (1, "unknown", "10.0.0.9"),
        (1, "1.1.1.1'--", "10.0.0.9"),
        (1, "", "10.0.0.9"),
    ],
)
def test_the_client_is_who_the_outermost_declared_proxy_says(
    hops: int, forwarded_for: str, client: str, ask: Ask, echo: Echo
) -> None:
    ask(TRUSTED_PROXIES=hops).get("/", headers={"X-Forwarded-For": forwarded_for}, environ_base=PROXY)
    assert echo.environ["REMOTE_ADDR"] == client


@st.composite
def believed_headers(draw: st.DrawFn) -> tuple[int, dict[str, str]]:
    """A number of hops, and headers that went through at least as many, as proxies write them."""
    hops = draw(st.integers(1, 3))
    names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z]{2,5})?(:[1-9][0-9]{0,3})?", fullmatch=True)
    values = {"For": st.ip_addresses().map(str), "Proto": st.sampled_from(["http", "https"]), "Host": names}
    lists = {name: draw(st.lists(value, min_size=hops, max_size=4)) for name, value in values.items()}
    separator = draw(st.sampled_from([",", ", ", " , "]))
    return hops, {f"X-Forwarded-{name}": separator.join(entries) for name, entries in lists.items()}


@given(believed_headers())
def test_declared_proxies_are_believed_as_werkzeugs_proxyfix_believes_them(case: tuple[int, dict[str, str]]) -> None:
    hops, headers = case
    ours, theirs = Echo(), Echo()
    host = headers["X-Forwarded-Host"].split(",")[-hops].strip().partition(":")[0]
    gateway = Gateway(ours, TestingConfig(TRUSTED_PROXIES=hops, TRUSTED_HOSTS=(host,)), {}, RequestMetrics())
    for application in (gateway, ProxyFix(theirs, x_for=hops, x_proto=hops, x_host=hops)):
        run_wsgi_app(application, EnvironBuilder(headers=headers, environ_base=PROXY).get_environ(), buffered=True)
    for name in ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST"):
        assert ours.environ[name] == theirs.environ[name]


def test_a_forwarded_host_counts_only_where_a_list_says_which_hosts_are_ours(ask: Ask, echo: Echo) -> None:
    """Many proxies pass on what a client sends there."""
    ask(TRUSTED_PROXIES=1).get("/", headers={"X-Forwarded-Host": "evil.test"}, environ_base=PROXY)
    assert echo.environ["HTTP_HOST"] == "localhost"


@pytest.mark.parametrize("prefix", ["//evil.test", "/a b", "/\t/evil.test", "app", "/a/../b%2f", "/<script>"])
def test_a_prefix_that_is_no_path_is_ignored(prefix: str, ask: Ask, echo: Echo) -> None:
    ask(TRUSTED_PROXIES=1).get("/", headers={"X-Forwarded-Prefix": prefix}, environ_base=PROXY)
    assert echo.environ["SCRIPT_NAME"] == ""


def test_undeclared_proxies_are_ignored_and_said_so_once(
    ask: Ask, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    client = ask()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            client.get("/", headers=headers | {"X-Forwarded-Prefix": "/evil"}, environ_base=PROXY)
    seen = echo.environ
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("10.0.0.9", "http")
    assert (seen["HTTP_HOST"], seen["SCRIPT_NAME"]) == ("localhost", "")
    assert ["TRUSTED_PROXIES is 0" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("proto", ["ftp", "https\x01", "", "javascript"])
def test_a_scheme_that_is_none_changes_nothing(proto: str, ask: Ask, echo: Echo) -> None:
    ask(TRUSTED_PROXIES=1).get("/", environ_overrides={"HTTP_X_FORWARDED_PROTO": proto})
    assert echo.environ["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize(
    ("prefix", "path", "script_name", "path_info"),
    [
        ("/myapp", "/posts/", "/myapp", "/posts/"),  # the proxy has cut it
        ("/myapp", "/myapp/posts/", "/myapp", "/posts/"),  # it has not
        ("/myapp/", "/myapp/posts/", "/myapp", "/posts/"),
        ("/myapp", "/myapp", "/myapp", "/"),
        ("/myapp", "/myapple", "/myapp", "/myapple"),
        ("/a, /b", "/x", "/b", "/x"),
        ("//evil.example", "/x", "", "/x"),
        ("evil", "/x", "", "/x"),
        ("/", "/x", "", "/x"),
    ],
)
def test_links_begin_with_the_prefix_whether_the_proxy_cut_it_or_not(
    prefix: str, path: str, script_name: str, path_info: str, ask: Ask, echo: Echo
) -> None:
    ask(TRUSTED_PROXIES=1).get(path, headers={"X-Forwarded-Prefix": prefix})
    assert (echo.environ["SCRIPT_NAME"], echo.environ["PATH_INFO"]) == (script_name, path_info)


# --- hosts --------------------------------------------------------------------------------------

SERVED = ("www.example.com", ".Example.org")


@pytest.mark.parametrize(
    "host", ["localhost", "a.example:8080", "A.EXAMPLE", "a.example.", "10.0.0.1:80", "[::1]", "[::1]:8080", "a_b"]
)
def test_any_whole_host_is_served_without_a_list(host: str, ask: Ask) -> None:
    assert ask().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["", "a@b", "a/b", "a:99999", "a b", "a:b", ":80", "[::1", "[zz]", "a\\b", "a?b", "<b>", "a,b", "-a", "a:1:2", "ä"],
)
def test_a_broken_host_is_refused_and_never_repeated(host: str, ask: Ask, echo: Echo) -> None:
    answer = ask().get("/", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 400
    assert echo.calls == 0
    if len(host) > 2 and host.isascii():
        assert host not in answer.text + str(answer.headers)


def test_a_request_without_a_host_is_refused(ask: Ask) -> None:
    environ = EnvironBuilder("/").get_environ()
    del environ["HTTP_HOST"]
    assert status_of(ask(), environ) == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("www.example.com", 200),
        ("www.example.com:8080", 200),
        ("WWW.Example.COM", 200),
        ("example.org", 200),
        ("deep.down.example.org", 200),
        ("example.com", 400),
        ("evil.test", 400),
        ("www.example.com.evil.test", 400),
        ("evilexample.org", 400),
        ("www.example.com.", 400),  # with a list, a name counts as it is written there
        ("[::1]", 400),
    ],
)
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_only_listed_hosts_are_served(host: str, status: int, header: str, ask: Ask) -> None:
    answer = ask(TRUSTED_HOSTS=SERVED, TRUSTED_PROXIES=1).get("/", headers={header: host})
    assert answer.status_code == status
    assert status == 200 or host not in answer.text


# --- malformed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faulty", "status"),
    [
        ({"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}, 400),
        ({"PATH_INFO": "posts"}, 400),
        ({"PATH_INFO": ""}, 400),
        ({"PATH_INFO": "", "SCRIPT_NAME": "/myapp"}, 200),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "3"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 200),
        ({"HTTP_TRANSFER_ENCODING": "gzip, chunked"}, 501),
        ({"PATH_INFO": "/" + "a" * 4094}, 414),
        ({"PATH_INFO": "/" + "a" * 2000, "QUERY_STRING": "b" * 2094}, 414),
        ({"PATH_INFO": "/" + "a" * 2000, "QUERY_STRING": "b" * 2093}, 200),
        ({"HTTP_UPGRADE": "WebSocket"}, 501),
        ({"HTTP_UPGRADE": "websocket", "gunicorn.socket": "the raw one"}, 200),
        ({"HTTP_UPGRADE": "h2c"}, 200),
    ],
)
def test_an_ambiguous_request_goes_no_further(faulty: dict[str, str], status: int, ask: Ask, echo: Echo) -> None:
    environ = EnvironBuilder().get_environ() | {"CONTENT_LENGTH": ""} | faulty
    assert status_of(ask(), environ) == status
    assert echo.calls == (status == 200)
