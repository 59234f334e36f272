"""Checks of settings: with the one value it is found, with the other it is good."""

import functools
import logging
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from flask import Flask

from app.extensions import cache, csrf
from app.platform.doctor.capacity import measure
from app.platform.doctor.registry import Deployment, Finding
from app.platform.security import admins_only
from tests.unit.doctor.conftest import assert_seen, look

GOOD = secrets.token_urlsafe(48)
OTHER, THIRD = secrets.token_urlsafe(48), secrets.token_urlsafe(48)

# id, settings that break it, what is found, settings that mend it
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("secret.strength", {"SECRET_KEY": "short"}, "FAIL", {"SECRET_KEY": GOOD}),
    ("secret.strength", {"SECRET_KEY": "please-change-this-" + GOOD}, "FAIL", {"SECRET_KEY": GOOD}),
    ("secret.strength", {"SECRET_KEY": "abcabcab" * 6}, "FAIL", {"SECRET_KEY": secrets.token_hex(24)}),
    ("secret.fallbacks", {"SECRET_KEY_FALLBACKS": ("dev",)}, "FAIL", {"SECRET_KEY_FALLBACKS": (OTHER,)}),
    ("secret.fallbacks", {"SECRET_KEY": GOOD, "SECRET_KEY_FALLBACKS": (GOOD,)}, "WARN", {"SECRET_KEY": GOOD}),
    ("secret.fallbacks", {"SECRET_KEY_FALLBACKS": (GOOD, OTHER, GOOD[::-1])}, "WARN", {}),
    ("hosts.trusted", {}, "WARN", {"TRUSTED_HOSTS": ("www.example.com",)}),
    ("proxy.hops", {"HOST": "0.0.0.0", "TRUSTED_PROXIES": 1}, "WARN", {"HOST": "127.0.0.1", "TRUSTED_PROXIES": 1}),
    ("proxy.hops", {"HOST": "127.0.0.1"}, "WARN", {"HOST": "0.0.0.0"}),
    ("cors.origins", {"CORS_ORIGINS": ("http://a.example",)}, "WARN", {"CORS_ORIGINS": ("https://a.example",)}),
    ("csp.sources", {"CSP_EXTRA_SOURCES": "script-src *"}, "FAIL", {"CSP_EXTRA_SOURCES": "img-src https:"}),
    ("session.length", {"SESSION_HOURS": 9000}, "WARN", {"SESSION_HOURS": 24}),
    ("log.level", {"LOG_LEVEL": "DEBUG"}, "WARN", {"LOG_LEVEL": "INFO"}),
    ("log.level", {"LOG_LEVELS": {"urllib3": "DEBUG"}}, "WARN", {"LOG_LEVELS": {"urllib3": "INFO"}}),
    ("log.masked", {"LOG_FORMAT": "console"}, "WARN", {"LOG_FORMAT": "json"}),
    ("mail.encrypted", {"MAIL_HOST": "mail.example", "MAIL_FROM": "a@b.example", "MAIL_TLS": "off"}, "WARN",
     {"MAIL_HOST": "mail.example", "MAIL_FROM": "a@b.example"}),
    ("mail.encrypted", {"MAIL_HOST": "mail.example", "MAIL_FROM": "a@b.example", "MAIL_TLS": "off",
                        "MAIL_USERNAME": "me", "MAIL_PASSWORD": GOOD}, "FAIL",
     {"MAIL_HOST": "mail.example", "MAIL_FROM": "a@b.example"}),
    ("mail.admins", {"ADMINS": ("ops@example.com",)}, "WARN",
     {"ADMINS": ("ops@example.com",), "MAIL_HOST": "mail.example", "MAIL_FROM": "a@b.example"}),
    ("server.workers", {"WORKERS": 500}, "WARN", {}),
    ("server.memory", {"WORKERS": 512, "THREADS": 1}, "FAIL", {"WORKERS": 1}),
    ("metrics.readable", {"METRICS_PORT": "8080"}, "FAIL", {"METRICS_PORT": "9100"}),
    ("sqlite.gevent", {"WORKER_CLASS": "gevent"}, "WARN", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "broken", "status", "mended"), CASES, ids=[f"{case[0]} {' '.join(case[1])}" for case in CASES]
)
def test_a_setting_is_found_and_its_mending_too(
    identity: str, broken: dict[str, Any], status: str, mended: dict[str, Any],
    make_app: Callable[..., Flask], machine: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if identity == "server.memory":
        monkeypatch.setattr("serving.sizing._physical_memory", lambda: 1 << 30)
    if identity == "log.masked":  # what pytest puts there is not the application's
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert_seen(look(make_app(**broken), identity, machine=machine), status)
    good = look(make_app(**mended), identity, machine=machine)
    assert good.status == "OK", good


def test_a_secret_that_stands_in_the_docs_is_found(make_app: Callable[..., Flask], root: Path) -> None:
    app = make_app(SECRET_KEY=GOOD)
    (root / "docs").mkdir()
    page = root / "docs/start.md"
    page.write_text(f"Set SECRET_KEY={GOOD}")
    found = look(app, "secret.strength", root=root)
    assert_seen(found, "FAIL", "start.md")
    assert GOOD not in found.seen + found.fix
    page.write_text("Set SECRET_KEY.")
    assert look(app, "secret.strength", root=root).status == "OK"


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.example")
    subprocess.run(["git", *identity, "-C", str(root), *arguments], check=True, capture_output=True)


def test_a_secret_in_git_is_found_and_one_that_was_there_too(make_app: Callable[..., Flask], root: Path) -> None:
    app = make_app(SECRET_KEY=GOOD)
    assert look(app, "secret.git", root=root).status == "SKIP"
    git(root, "init", "-q")
    (root / "readme.txt").write_text("nothing")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    assert look(app, "secret.git", root=root).status == "OK"
    (root / "settings.py").write_text(f"KEY = {GOOD!r}")
    git(root, "add", ".")
    git(root, "commit", "-qm", "two")
    assert_seen(look(app, "secret.git", root=root), "FAIL")
    git(root, "rm", "-q", "settings.py")
    (root / ".env").write_text(f"SECRET_KEY={GOOD}\nMETRICS_TOKEN={OTHER}")
    git(root, "add", "-f", ".env")
    found = look(app, "secret.git", root=root)
    assert_seen(found, "FAIL", ".env")
    git(root, "commit", "-qm", "three")
    subprocess.run(found.fix.splitlines()[0], shell=True, cwd=root, check=True)  # noqa: S602 - what a user would type
    assert (root / ".env").exists()
    git(root, "commit", "-qm", "four")
    assert_seen(look(app, "secret.git", root=root), "FAIL", "committed once", "SECRET_KEY")
    found = look(make_app(SECRET_KEY=THIRD, METRICS_TOKEN=OTHER), "secret.git", root=root)
    assert_seen(found, "FAIL", "METRICS_TOKEN")
    assert found.fix == "METRICS_TOKEN=<a new one>"
    assert look(make_app(SECRET_KEY=THIRD, METRICS_TOKEN=THIRD[::-1]), "secret.git", root=root).status == "OK"


@pytest.mark.parametrize(
    ("committed", "name", "setting", "password"),
    [
        (
            "DATABASE_URL=postgresql://app:{}@db/app",
            "DATABASE_URL",
            "postgresql+psycopg://app:{}@127.0.0.1:1/app",
            OTHER,
        ),
        (
            "DATABASE_URL=postgresql://app:{}@db/app",
            "DATABASE_URL",
            "postgresql+psycopg://app:{}@127.0.0.1:1/app",
            "pa55",
        ),
        ("REDIS_URL=redis://:{}@cache:6379/0", "REDIS_URL", "redis://:{}@127.0.0.1:1/0", "pa55"),
        ("SECRET_KEY={}", "SECRET_KEY_FALLBACKS", "{}", OTHER),
    ],
    ids=["database", "short", "redis", "earlier"],
)
def test_a_password_in_a_url_and_an_earlier_secret_are_found_in_the_history(
    committed: str, name: str, setting: str, password: str, make_app: Callable[..., Flask], root: Path
) -> None:
    git(root, "init", "-q")
    (root / ".env").write_text(f"{committed.format(password)}\n")
    git(root, "add", "-f", ".env")
    git(root, "commit", "-qm", "one")
    git(root, "rm", "-q", "--cached", ".env")
    git(root, "commit", "-qm", "two")

    def found_with(password: str) -> Finding:
        value = setting.format(password)
        return look(
            make_app(SECRET_KEY=GOOD, **{name: (value,) if name.endswith("S") else value}), "secret.git", root=root
        )

    found = found_with(password)
    assert_seen(found, "FAIL", "committed once", name)
    assert found.fix.startswith(f"{name}=")
    assert password not in found.seen + found.fix
    assert found_with(THIRD).status == "OK"


def test_a_word_of_the_history_is_no_password(make_app: Callable[..., Flask], root: Path) -> None:
    git(root, "init", "-q")
    (root / ".env").write_text("DATABASE_URL=postgresql://postgres:other@db/postgres\n# postgres\n")
    git(root, "add", "-f", ".env")
    git(root, "commit", "-qm", "one")
    git(root, "rm", "-q", "--cached", ".env")
    git(root, "commit", "-qm", "two")
    app = make_app(SECRET_KEY=GOOD, DATABASE_URL="postgresql+psycopg://postgres:postgres@127.0.0.1:1/postgres")
    assert look(app, "secret.git", root=root).status == "OK"


def test_a_password_of_the_database_in_a_committed_file_is_found(make_app: Callable[..., Flask], root: Path) -> None:
    git(root, "init", "-q")
    (root / "compose.yml").write_text(f"url: postgresql://app:{OTHER}@db/app\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    app = make_app(SECRET_KEY=GOOD, DATABASE_URL=f"postgresql+psycopg://app:{OTHER}@127.0.0.1:1/app")
    assert_seen(look(app, "secret.git", root=root), "FAIL", "DATABASE_URL stands in a file")


@pytest.mark.parametrize("name", ["DEBUG", "SQLALCHEMY_ECHO", "PROPAGATE_EXCEPTIONS", "EXPLAIN_TEMPLATE_LOADING"])
def test_what_is_for_developers_is_found(name: str, make_app: Callable[..., Flask]) -> None:
    app = make_app()
    app.config |= {"TESTING": False, name: True}
    assert_seen(look(app, "debug.off"), "FAIL", name)
    app.config[name] = False
    assert look(app, "debug.off").status == "OK"


def test_a_variable_that_switches_the_debugger_on_is_found(make_app: Callable[..., Flask], root: Path) -> None:
    app = make_app()
    app.config["TESTING"] = False
    found = look(app, "debug.off", root=root, environ={"FLASK_DEBUG": "1"})
    assert_seen(found, "FAIL", "FLASK_DEBUG")
    assert found.fix == "unset FLASK_DEBUG"
    assert look(app, "debug.off", root=root, environ={"FLASK_DEBUG": "0"}).status == "OK"


def test_what_switches_debugging_on_is_taken_out_where_it_stands(make_app: Callable[..., Flask], root: Path) -> None:
    """Flask's own command makes variables of what is in .env."""
    app = make_app(APP_ENV="development")
    app.config |= {"TESTING": False}
    assert look(app, "debug.off", root=root).fix == "APP_ENV=production"
    assert look(app, "debug.off", root=root, environ={"APP_ENV": "development"}).fix == "unset APP_ENV"
    file = root / ".env"
    file.write_text("FLASK_DEBUG=1\nAPP_ENV=development\n")
    fix = look(app, "debug.off", root=root, environ={"FLASK_DEBUG": "1", "APP_ENV": "development"}).fix
    assert fix == "sed -i --follow-symlinks '/^FLASK_DEBUG=/d' .env\nAPP_ENV=production"
    subprocess.run(fix.splitlines()[0], shell=True, cwd=root, check=True)  # noqa: S602 - what a user would type
    assert file.read_text() == "APP_ENV=development\n"


def test_switches_in_the_code_are_looked_for_there(make_app: Callable[..., Flask], root: Path) -> None:
    app = make_app()
    app.config |= {"TESTING": False, "SQLALCHEMY_ECHO": True}
    (root / ".git").mkdir()
    assert "SQLALCHEMY_ECHO" in look(app, "debug.off", root=root).fix.partition("#")[0]


@pytest.mark.parametrize("before", ["", "A=1", "A=1\n"])
def test_a_new_secret_becomes_a_line_of_its_own(before: str, make_app: Callable[..., Flask], root: Path) -> None:
    (root / ".env").write_text(before)
    fix = look(make_app(SECRET_KEY="short"), "secret.strength", root=root).fix
    assert fix.endswith("# then scripts/reload.sh")
    subprocess.run(fix, shell=True, cwd=root, check=True)  # noqa: S602 - what a user would type
    written = dotenv_values(root / ".env")
    assert len(str(written.pop("SECRET_KEY"))) == 64
    assert written == ({"A": "1"} if before else {})


def test_which_hosts_are_served_is_left_to_who_knows(make_app: Callable[..., Flask]) -> None:
    assert look(make_app(), "hosts.trusted").fix.startswith("TRUSTED_HOSTS=<name>")


@pytest.mark.parametrize(
    ("sources", "mended"),
    [
        ("script-src *", ""),
        ("img-src https:; script-src * https://cdn.example", "img-src https:; script-src https://cdn.example"),
        ("default-src https:; script-src 'unsafe-eval'; font-src https://f.example;", "font-src https://f.example"),
    ],
)
def test_a_policy_is_closed_and_keeps_what_is_meant(sources: str, mended: str, make_app: Callable[..., Flask]) -> None:
    found = look(make_app(CSP_EXTRA_SOURCES=sources), "csp.sources")
    assert found.fix == f'CSP_EXTRA_SOURCES="{mended}"'
    assert look(make_app(CSP_EXTRA_SOURCES=mended), "csp.sources").status == "OK"


def test_a_misspelt_name_is_found_and_a_foreign_one_is_not(app: Flask, root: Path) -> None:
    (root / ".env").write_text("TRUSTED_HOST=a.example\nPOSTGRES_PASSWORD=x\n")
    found = look(app, "env.names", root=root)
    assert_seen(found, "FAIL", "TRUSTED_HOST")
    assert found.fix == "sed -i --follow-symlinks 's/^TRUSTED_HOST=/TRUSTED_HOSTS=/' .env"
    done = subprocess.run(found.fix, shell=True, cwd=root, check=True)  # noqa: S602 - what a user would type
    assert done.returncode == 0
    assert look(app, "env.names", root=root).status == "OK"
    assert_seen(look(app, "env.names", root=root, environ={"DATABASE_URI": "x"}), "WARN", "DATABASE_URI")


def test_a_name_beside_the_setting_that_it_resembles_is_no_misspelt_one(app: Flask, root: Path) -> None:
    (root / ".env").write_text("DATABASE_URL=sqlite:///a.db\nDATABASE_URL_OLD=x\nDATABASE_URL_RO=x\nlog_levels=\n")
    assert look(app, "env.names", root=root).status == "OK"
    assert look(app, "env.names", root=root, environ={"DATABASE_URL_OLD": "x"}).status == "OK"
    (root / ".env").write_text("DATABASE_URL_OLD=x\n")
    assert_seen(look(app, "env.names", root=root), "FAIL", "DATABASE_URL_OLD")


def test_in_a_container_an_open_port_is_not_blamed(make_app: Callable[..., Flask], machine: Path) -> None:
    app = make_app(HOST="0.0.0.0", TRUSTED_PROXIES=1)
    (machine / ".dockerenv").touch()
    assert look(app, "proxy.hops", machine=machine).status == "SKIP"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5"])
def test_behind_a_balancer_no_deploy_is_refused(host: str, make_app: Callable[..., Flask], machine: Path) -> None:
    found = look(make_app(HOST=host, TRUSTED_PROXIES=1), "proxy.hops", machine=machine)
    assert_seen(found, "WARN", f"HOST={host}", "a firewall decides")
    assert "only where the proxy runs on this machine" in found.fix


def test_a_variable_that_trusts_every_proxy_is_found(make_app: Callable[..., Flask]) -> None:
    app = make_app(HOST="127.0.0.1", TRUSTED_PROXIES=1)
    assert look(app, "proxy.hops").status == "OK"
    assert_seen(look(app, "proxy.hops", environ={"FORWARDED_ALLOW_IPS": "*"}), "WARN", "FORWARDED_ALLOW_IPS")


def test_memory_that_is_nearly_full_is_found(
    make_app: Callable[..., Flask], machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_app(WORKERS=8).app_context():
        needed = measure(Deployment(make_app(WORKERS=8).extensions["settings"], machine=machine)).needed_memory
    monkeypatch.setattr("serving.sizing._physical_memory", lambda: int(needed / 0.9))
    assert_seen(look(make_app(WORKERS=8), "server.memory", machine=machine), "WARN", "8 workers need")


def test_cpus_that_nobody_uses_are_found(
    make_app: Callable[..., Flask], machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.sizing.usable_cpus", lambda _: 4.0)
    monkeypatch.setattr("serving.sizing._physical_memory", lambda: 8 << 30)
    found = look(make_app(WORKERS=1), "server.workers", machine=machine)
    assert_seen(found, "WARN", "1 workers for 4 CPUs")
    assert found.fix == "WORKERS=4"
    mended = make_app(WORKERS=4)
    assert {look(mended, f"server.{what}", machine=machine).status for what in ("workers", "memory")} == {"OK"}
    monkeypatch.setattr(
        "serving.sizing._physical_memory", lambda: 310 << 20
    )  # a second one would take four fifths of it, and more
    alone = make_app(WORKERS=1, JOBS="external")
    assert {look(alone, f"server.{what}", machine=machine).status for what in ("workers", "memory")} == {"OK"}
    assert look(make_app(), "server.workers", machine=machine).status == "OK"


def test_the_socket_of_the_unit_counts_more_than_host(
    make_app: Callable[..., Flask], machine: Path, root: Path
) -> None:
    app = make_app(HOST="0.0.0.0", TRUSTED_PROXIES=1)
    units = machine / "etc/systemd/system"
    units.mkdir(parents=True)
    text = f"[Service]\nWorkingDirectory={root}\nEnvironment=HOST=unix:/run/web.sock\nExecStart=x/gunicorn wsgi:app\n"
    (units / "groundwork.service").write_text(text)
    assert look(app, "proxy.hops", machine=machine, root=root).status == "OK"


def test_a_csrf_check_that_is_off_is_found(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    assert look(app, "csrf.on").status == "OK"
    app.config["WTF_CSRF_ENABLED"] = False
    assert_seen(look(app, "csrf.on"), "FAIL")


def test_an_exempt_route_outside_the_api_is_found(make_app: Callable[..., Flask]) -> None:
    app = make_app()

    def webhook() -> str:
        return "done"

    app.add_url_rule("/webhook", view_func=webhook, methods=["POST"])
    assert look(app, "csrf.on").status == "OK"
    csrf.exempt(webhook)
    try:
        assert_seen(look(app, "csrf.on"), "WARN", "/webhook")
    finally:
        csrf._exempt_views.discard(f"{webhook.__module__}.{webhook.__name__}")


def test_a_route_without_a_guard_is_found(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    assert look(app, "routes.guarded").status == "OK"
    app.add_url_rule("/orders", "orders", lambda: "done", methods=["POST"])
    found = look(app, "routes.guarded")
    assert_seen(found, "WARN", "/orders")
    exec(found.fix.splitlines()[-1], {"app": app})  # noqa: S102 - what a user would write
    assert look(app, "routes.guarded").status == "OK"
    app.add_url_rule("/admin/secrets", "secrets", lambda: "all")
    assert_seen(look(app, "routes.guarded"), "FAIL", "/admin/secrets")


def test_a_decorator_that_guards_nothing_is_no_guard(make_app: Callable[..., Flask]) -> None:
    app = make_app()

    @cache.cached(60)
    def everything() -> str:
        return "all"

    app.add_url_rule("/admin/everything", "everything", everything)
    assert_seen(look(app, "routes.guarded"), "FAIL", "/admin/everything")
    app.view_functions["everything"] = functools.wraps(guarded := admins_only(everything))(lambda: guarded())
    assert look(app, "routes.guarded").status == "OK"


def test_a_formatter_that_masks_nothing_is_found(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(LOG_FORMAT="json")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler()])
    assert_seen(look(app, "log.masked"), "FAIL")
