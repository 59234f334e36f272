"""Every setting of the application: its name, type, default and meaning, in one place.

The environment counts first, then `.env`, then a file of the setting's name in /run/secrets. Nothing is copied into
`os.environ`, so a reload sees the `.env` of that moment. `load_config()` reports all faults at once, and no value.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, ClassVar

import click
from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config_extras import ExtrasConfig
from config_types import (
    ROOT,
    AnyCase,
    Directives,
    Environment,
    Folder,
    Hosts,
    Jobs,
    LogFormat,
    LogLevel,
    Origins,
    RedisUrl,
    Secrets,
)

DOTENV = ROOT / ".env"
SECRETS = Path("/run/secrets")
MIN_SECRET_LENGTH = 32  # characters; 24 random bytes in base64
NEW_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'
# Values people copy from tutorials and templates; "change" also catches change-me, changethis, please_change.
SAMPLE_SECRET = re.compile(r"change|example|sample|your[-_ ]|secret[-_ ]?key|never-guess|not-so-secret|(.)\1{9}", re.I)


class ConfigError(click.ClickException):
    """The configuration can not be used; the text lists every fault and its remedy, and no value.

    A ClickException, so that every `flask` command prints the text and not a traceback.
    """


class Config(ExtrasConfig):
    """What all environments share. The three classes below say only where they differ."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        env_file_encoding="utf-8",
        env_ignore_empty=True,  # `SECRET_KEY=` in a copied .env means: not set
        extra="ignore",  # .env may hold variables of Compose or of the user's own
        hide_input_in_errors=True,  # a rejected secret must not reach the log
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
        validate_default=False,
    )
    DEBUG: ClassVar[bool] = False  # never from the environment: other tools set DEBUG too
    TESTING: ClassVar[bool] = False

    APP_ENV: Environment = Field("production", description="Which class below applies: production, development.")
    APP_NAME: str = Field(
        "Groundwork", min_length=1, description="Shown on the pages; begins the names of cookies and Redis keys."
    )
    INSTANCE_PATH: Folder = Field(
        ROOT / "instance", validate_default=True, description="Folder for the secret, SQLite, uploads, pid files."
    )
    SECRET_KEY: SecretStr | None = Field(None, description="Signs sessions. Unset: made once, in the instance folder.")
    SECRET_KEY_FALLBACKS: Secrets = Field((), description="Earlier secrets that still verify, comma separated.")
    DATABASE_URL: str = Field("sqlite:///app.db", repr=False, description="sqlite:///file or postgresql://user@host/db")
    REDIS_URL: RedisUrl | None = Field(None, repr=False, description="redis:// or rediss://. Unset: SQLite instead.")

    HOST: str = Field("0.0.0.0", description="Address to listen on, or unix:/path/to.sock (then set TRUSTED_PROXIES).")
    PORT: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    WORKERS: int | None = Field(
        None, ge=1, le=512, validation_alias=AliasChoices("WORKERS", "WEB_CONCURRENCY"),
        description="Processes. Unset: one per usable CPU, fewer when memory is short. Also WEB_CONCURRENCY.",
    )  # fmt: skip
    THREADS: int = Field(16, ge=1, le=256, description="Requests that one worker handles at the same time.")
    WORKER_CLASS: str = Field("gthread", description="Gunicorn's worker: gthread, gevent or sync.")

    TRUSTED_HOSTS: Hosts = Field((), description="Host names served, comma separated; .example.com covers subdomains.")
    TRUSTED_PROXIES: int = Field(0, ge=0, le=10, validate_default=True, description="How many proxies stand in front.")
    CORS_ORIGINS: Origins = Field(
        (), description="Other origins whose pages may call us with cookies: https://a.example"
    )
    CSP_EXTRA_SOURCES: Directives = Field(
        "", description="Opens the content policy: img-src https:; script-src https://a.example"
    )
    MAX_CONTENT_LENGTH: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body, in bytes.")

    SESSION_IDLE_MINUTES: int = Field(120, ge=1, description="A log-in ends after this long without a request.")
    SESSION_HOURS: int = Field(24, ge=1, description="A log-in ends after this long in any case.")

    LOG_LEVEL: Annotated[LogLevel, AnyCase] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    LOG_FORMAT: LogFormat = Field("json", description="json for machines, console for people.")
    LOG_FILE: Path | None = Field(None, description="Log here, rotated at 10 MB, and not to the error stream.")

    @field_validator("WORKER_CLASS")
    @classmethod
    def _known_worker(cls, value: str) -> str:
        if value == "eventlet":
            raise ValueError("Gunicorn dropped eventlet in release 26. Use gevent instead")
        if value not in {"gthread", "gevent", "sync"}:
            raise ValueError("is none of gthread, gevent, sync")
        return value

    @field_validator("DATABASE_URL")
    @classmethod
    def _database_driver(cls, value: str) -> str:
        # Heroku and others still hand out postgres://, which SQLAlchemy no longer knows.
        value = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", value)
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must start with sqlite:/// or postgresql://")
        return value

    @field_validator("TRUSTED_PROXIES")
    @classmethod
    def _socket_has_a_proxy(cls, value: int, info: ValidationInfo) -> int:
        if not value and info.data.get("HOST", "").startswith("unix:"):
            raise ValueError("HOST is a unix socket, so a proxy is in front. Set TRUSTED_PROXIES=1")
        return value

    @property
    def slug(self) -> str:
        """APP_NAME as cookies and the keys in a shared Redis begin: two applications do not meet there."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.APP_NAME.lower()).strip("-") or "app"
        if self.APP_NAME.isascii():
            return slug
        return f"{slug}-{hashlib.sha256(self.APP_NAME.encode()).hexdigest()[:6]}"  # of Ä and Ö the same would be left

    def make_instance_folder(self) -> None:
        """Creates INSTANCE_PATH for this user only. Raises ConfigError when that is not possible."""
        try:
            self.INSTANCE_PATH.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise ConfigError(f"INSTANCE_PATH: {self.INSTANCE_PATH} can not be made ({error.strerror}).") from None

    def flask_config(self) -> dict[str, Any]:
        """The settings as Flask's own configuration keys; platform modules add those of their extensions."""
        fallbacks = [secret.get_secret_value() for secret in self.SECRET_KEY_FALLBACKS]
        return {
            **self.model_dump(
                exclude={"SECRET_KEY", "SECRET_KEY_FALLBACKS", "TRUSTED_HOSTS", *ExtrasConfig.model_fields}
            ),
            "DEBUG": self.DEBUG,
            "TESTING": self.TESTING,
            "SECRET_KEY": self.SECRET_KEY.get_secret_value() if self.SECRET_KEY else None,
            "SECRET_KEY_FALLBACKS": fallbacks or None,
            "MAX_FORM_MEMORY_SIZE": 512 * 1024,  # one text field, in bytes
            "MAX_FORM_PARTS": 1000,
            "PERMANENT_SESSION_LIFETIME": self.SESSION_HOURS * 3600,
        }


class DevelopmentConfig(Config):
    """For scripts/dev.sh: debugger and reloader, reachable from this machine only."""

    DEBUG: ClassVar[bool] = True
    APP_ENV: Environment = "development"
    HOST: str = "127.0.0.1"
    LOG_FORMAT: LogFormat = "console"
    JOBS: Jobs = "off"  # done at once, where the debugger is


class ProductionConfig(Config):
    """For every real server. Refuses secrets that others could know."""

    @field_validator("SECRET_KEY", "METRICS_TOKEN")
    @classmethod
    def _no_sample_secret(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value() if value else None
        if secret is not None and (len(secret) < MIN_SECRET_LENGTH or SAMPLE_SECRET.search(secret)):
            raise ValueError(f"is a sample or shorter than {MIN_SECRET_LENGTH} characters. Make one: {NEW_SECRET}")
        return value


class TestingConfig(Config):
    """For the tests: reads neither environment nor .env, so that a test can never touch your data."""

    __test__: ClassVar[bool] = False  # pytest: not a test class
    TESTING: ClassVar[bool] = True
    APP_ENV: Environment = "testing"
    SECRET_KEY: SecretStr | None = SecretStr("only-for-tests-" + "0123456789abcdef" * 2)
    INSTANCE_PATH: Path = Field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="groundwork-test-")))
    DATABASE_URL: str = Field("sqlite://", repr=False)  # in memory
    LOG_FORMAT: LogFormat = "console"
    LOG_LEVEL: LogLevel = "WARNING"
    JOBS: Jobs = "off"  # a test sees what was to be done later

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


CONFIGS: dict[str, type[Config]] = {
    "development": DevelopmentConfig,
    "production": ProductionConfig,
    "testing": TestingConfig,
}


def load_config(environment: str | None = None) -> Config:
    """The settings of `environment`, else of APP_ENV (environment or .env), else of production.

    FLASK_ENV, which Flask itself dropped, is still understood. Raises ConfigError.
    """
    dotenv = dotenv_values(DOTENV, encoding="utf-8")
    named = environment or os.environ.get("APP_ENV") or dotenv.get("APP_ENV")
    if not named and (named := os.environ.get("FLASK_ENV") or dotenv.get("FLASK_ENV")):
        click.echo("FLASK_ENV is understood, but Flask itself dropped it: name it APP_ENV.", err=True)
    named = named or "production"
    if named not in CONFIGS or (named == "testing" and not environment):
        raise ConfigError("APP_ENV: is neither production nor development. Leave it unset on a server.")
    try:
        return CONFIGS[named](APP_ENV=named)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = ["The configuration has faults; nothing was started. Mend them in .env or in the environment:"]
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        field = Config.model_fields.get(name)
        meaning = f"  [{field.description}]" if field else ""
        lines.append(f"  {name}: {message}.{meaning}" if name else f"  {message}.")
    return "\n".join(lines)
