"""What is registered follows from the settings."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import ValidationError

from app.extras import registry
from app.platform.version import version
from config import ROOT, Config, TestingConfig

ADDRESS = ("127.0.0.1:8848",)


def described(**settings: object) -> registry.Instance:
    return registry.instance_of(TestingConfig(NACOS_SERVER_ADDR=ADDRESS, **settings), 8080)


def test_without_settings_it_is_the_applications_name_at_the_address_that_reaches_nacos() -> None:
    assert described() == registry.Instance(
        "groundwork", "127.0.0.1", 8080, "public", "DEFAULT_GROUP", "DEFAULT", version()
    )


def test_everything_can_be_named() -> None:
    instance = described(
        NACOS_SERVICE="shop", NACOS_IP="10.0.0.7", NACOS_NAMESPACE="n1", NACOS_GROUP="G", NACOS_CLUSTER="C"
    )
    assert instance == registry.Instance("shop", "10.0.0.7", 8080, "n1", "G", "C", version())


@pytest.mark.parametrize(("name", "service"), [("Größe 7", "gr-e-7"), ("店", "app"), ("My  Shop!", "my-shop")])
def test_a_name_of_the_application_becomes_one_that_nacos_takes(name: str, service: str) -> None:
    assert described(APP_NAME=name).service == service


@pytest.mark.parametrize("address", ["nacos 8848", "ftp://nacos", "nacos:8848/nacos", "nacos:port"])
def test_an_address_that_is_none_stops_the_start(address: str) -> None:
    with pytest.raises(ValidationError, match="takes servers like"):
        TestingConfig(NACOS_SERVER_ADDR=address)


@pytest.mark.parametrize("address", ["nacos-1:8848, nacos-2", "https://nacos.example:443", "[::1]:8848"])
def test_one_or_several_addresses_are_taken(address: str) -> None:
    assert TestingConfig(NACOS_SERVER_ADDR=address).NACOS_SERVER_ADDR


@pytest.mark.parametrize("settings", [{}, {"NACOS_SERVER_ADDR": ADDRESS, "NACOS_API": "off"}], ids=["unset", "off"])
def test_it_is_off_until_a_nacos_is_named_and_can_be_switched_off(
    settings: dict[str, object], make_app: Callable[..., Flask]
) -> None:
    assert not make_app(**settings).extensions.get("when_serving")


def test_requests_and_tests_register_nothing(client: FlaskClient, make_app: Callable[..., Flask]) -> None:
    app = make_app(NACOS_SERVER_ADDR=ADDRESS)
    assert app.test_client().get("/about").status_code == 200
    assert len(app.extensions["when_serving"]) == 1, "a server begins it, nothing else"


def test_a_command_registers_nothing(tmp_path: Path) -> None:
    code = "import threading, wsgi; print([thread.name for thread in threading.enumerate()])"
    environment = {"INSTANCE_PATH": str(tmp_path), "PATH": "", "NACOS_SERVER_ADDR": ADDRESS[0]}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['MainThread']"


def test_the_password_is_shown_nowhere() -> None:
    settings: Config = TestingConfig(NACOS_SERVER_ADDR=ADDRESS, NACOS_USERNAME="u", NACOS_PASSWORD="not-for-logs")
    assert "not-for-logs" not in repr(settings)
    assert "not-for-logs" not in repr(registry.nacos_of(settings))
