"""What an operator runs: `flask settings show`, and `flask prepare`, which a start begins with."""

import logging
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

from app import create_app
from app.extensions import db
from app.platform import migrations
from app.platform.doctor import settings as settings_command
from app.platform.doctor.start import require_free_address
from config import Config, TestingConfig


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- settings -----------------------------------------------------------------------------------


def test_the_settings_in_force_are_shown_without_secrets(make_app: Callable[..., Flask]) -> None:
    app = make_app(
        SECRET_KEY="hunter2" * 5,
        SECRET_KEY_FALLBACKS=("hunter2",),
        METRICS_TOKEN="hunter2",
        DATABASE_URL="postgresql://me:hunter2@db/app",
        REDIS_URL="redis://:hunter2@cache:6379/0",
        TRUSTED_HOSTS=("a.example", ".b.example"),
        PORT=9000,
    )
    shown = app.test_cli_runner().invoke(args=["settings", "show"])
    assert shown.exit_code == 0, shown.output
    assert "hunter2" not in shown.output
    values = dict(line.split(maxsplit=1) for line in shown.output.splitlines())
    assert values.keys() == Config.model_fields.keys()
    assert values["SECRET_KEY"] == values["SECRET_KEY_FALLBACKS"] == values["METRICS_TOKEN"] == "***"
    assert values["DATABASE_URL"] == "postgresql+psycopg://me:***@db/app"
    assert values["REDIS_URL"] == "redis://:***@cache:6379/0"
    assert (values["PORT"], values["TRUSTED_HOSTS"]) == ("9000", "a.example, .b.example")
    assert (values["CORS_ORIGINS"], values["WORKERS"], values["CSP_EXTRA_SOURCES"]) == ("(none)", "(unset)", "(none)")


@pytest.mark.parametrize(
    "url",
    ["redis://cache/0?password=hunter2", "postgresql://db/app?user=me&password=hunter2", "unix:///r?password=hunter2"],
)
def test_a_password_in_the_query_of_a_url_is_masked_too(url: str) -> None:
    assert "hunter2" not in settings_command._shown(url)


# --- prepare ------------------------------------------------------------------------------------


def prepare(instance: Path, **settings: object) -> tuple[int, str, str]:
    app = create_app(TestingConfig(INSTANCE_PATH=instance, DATABASE_URL="sqlite:///app.db", **settings))
    result = app.test_cli_runner().invoke(args=["prepare"])
    with app.app_context():
        db.engine.dispose()
    return result.exit_code, result.stdout, result.stderr


def test_prepare_migrates_and_says_how_the_address_is_called(tmp_path: Path, free_port: int) -> None:
    code, output, _ = prepare(tmp_path, HOST="127.0.0.1", PORT=free_port)
    assert (code, output) == (0, f"{free_port}\n\n")
    assert (tmp_path / f"run/{free_port}.address").read_text() == f"127.0.0.1\n{free_port}\n"
    with create_app(TestingConfig(INSTANCE_PATH=tmp_path, DATABASE_URL="sqlite:///app.db")).app_context():
        with db.engine.connect() as connection:
            assert migrations.state(connection) == "current"
        db.engine.dispose()


def test_prepare_names_a_unix_socket_by_its_file(tmp_path: Path) -> None:
    log = tmp_path / "shop.log"
    code, output, _ = prepare(tmp_path, HOST="unix:/run/shop.sock", TRUSTED_PROXIES=1, LOG_FILE=log)
    logging.getLogger().handlers[0].close()
    assert (code, output) == (0, f"shop\n{log}\n")


def test_prepare_can_be_run_again(tmp_path: Path, free_port: int) -> None:
    prepare(tmp_path, PORT=free_port)
    assert prepare(tmp_path, PORT=free_port)[0] == 0


def test_a_port_in_use_stops_the_start_and_names_the_next(tmp_path: Path, busy_port: int) -> None:
    code, output, error = prepare(tmp_path, HOST="127.0.0.1", PORT=busy_port)
    assert (code, output) == (1, "")
    assert f"127.0.0.1:{busy_port} can not be used (Address already in use)" in error
    assert f"-p {busy_port + 1}" in error
    assert not (tmp_path / "app.db").exists(), "nothing was migrated"


@pytest.mark.parametrize(
    ("host", "fault", "remedy"),
    [
        (
            "127.0.0.1",
            PermissionError(13, "Permission denied"),
            "Port 80 needs more rights. Use one above 1023: -p 8080",
        ),
        ("10.255.0.1", OSError(99, "Cannot assign requested address"), "10.255.0.1:80 can not be used (Cannot assign"),
    ],
)
def test_an_address_that_can_not_be_had_is_one_clear_line(
    host: str, fault: OSError, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise fault

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(click.ClickException) as refused:
        require_free_address(host, 80)
    assert remedy in refused.value.message


@pytest.mark.parametrize("host", ["", "localhost", "[::1]", "::", "unix:/run/app.sock"])
def test_every_way_to_write_an_address_is_understood(host: str, free_port: int) -> None:
    if ":" in host and not host.startswith("unix:") and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    require_free_address(host, free_port)


def test_a_name_that_no_resolver_knows_is_one_clear_line(free_port: int) -> None:
    with pytest.raises(click.ClickException, match=r"nowhere\.invalid:\d+ can not be used"):
        require_free_address("nowhere.invalid", free_port)


def test_a_folder_that_can_not_be_written_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")  # the tests may run as root, who may write anywhere

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    code, _, error = prepare(tmp_path)
    assert code == 1
    assert f"The folder {tmp_path} can not be written (Permission denied). Own it, or set INSTANCE_PATH" in error
