"""What several of these modules need: an operator's settings of their own, and a gateway around a small application."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

import config
from app.platform.gateway import Gateway
from app.platform.metrics import RequestMetrics
from config import CONFIGS, Config, TestingConfig


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a `.env` that belongs to the test, with an empty environment and a folder `secrets` beside it."""
    for name in (*Config.model_fields, "WEB_CONCURRENCY", "FLASK_ENV"):
        monkeypatch.delenv(name, raising=False)
    file, secrets = tmp_path / ".env", tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setattr(config, "DOTENV", file)
    for settings in CONFIGS.values():
        monkeypatch.setitem(settings.model_config, "env_file", file)
        monkeypatch.setitem(settings.model_config, "secrets_dir", secrets)
    return file


class Echo:
    """A WSGI application that keeps what it was asked, and answers 200."""

    environ: dict[str, Any]
    calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.environ, self.calls = environ, self.calls + 1
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"good"]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def ask(echo: Echo) -> Callable[..., Client]:
    """`ask(TRUSTED_PROXIES=1).get("/")`: a client of a gateway with these settings, around `echo` or `application`."""

    def make(application: Any = echo, settings_class: type[Config] = TestingConfig, **settings: Any) -> Client:
        return Client(Gateway(application, settings_class(**settings), {}, RequestMetrics()))

    return make
