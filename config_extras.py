"""The settings of app/extras and of what watches the application. Those of an extra go with its folder."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from config_types import MAILBOX, Addresses, Folder, Jobs, Levels, Listening, Servers, Url


class ExtrasConfig(BaseSettings):
    """What config.Config takes over, below the settings that every deployment has."""

    LOG_LEVELS: Levels = Field({}, description="Levels of single loggers: sqlalchemy.engine=INFO, urllib3=ERROR")
    METRICS_TOKEN: SecretStr | None = Field(None, description="Bearer token for /metrics from other machines.")
    METRICS_PORT: Listening | None = Field(
        None, description="Answers /metrics here too, to everybody: 9100, or at one address: 127.0.0.1:9100"
    )

    JOBS: Jobs = Field(
        "embedded", description="embedded: the server runs a process for them; external: `flask worker`; off."
    )
    LIVE_SETTINGS: Path | None = Field(
        None, description="File of the live settings, seen from INSTANCE_PATH. Unset: live.toml, there."
    )
    BACKUP_FOLDER: Folder | None = Field(None, description="A job backs up into this folder. Unset: no such job.")
    BACKUP_HOURS: int = Field(24, ge=1, le=24, description="Hours between two of those backups.")
    BACKUP_KEEP: int = Field(7, ge=1, description="So many of them are kept.")

    MAIL_HOST: str | None = Field(None, description="SMTP server. Unset: mail is logged and not sent.")
    MAIL_PORT: int = Field(587, ge=1, le=65535, description="Its port: 587 with starttls, 465 with tls, 25 with off.")
    MAIL_TLS: Literal["starttls", "tls", "off"] = Field("starttls", description="starttls, tls or off.")
    MAIL_USERNAME: str | None = Field(None, description="Its user, when it wants one.")
    MAIL_PASSWORD: SecretStr | None = Field(None, description="That user's password.")
    MAIL_FROM: str | None = Field(
        None, validate_default=True, description="Sender of every mail. Unset: MAIL_USERNAME."
    )
    ADMINS: Addresses = Field((), description="Who gets a mail when something fails, comma separated.")
    ERROR_MAIL_MINUTES: float = Field(10, gt=0, description="Errors of one kind are summed up for so long.")
    ERROR_MAILS_PER_HOUR: int = Field(20, ge=1, description="More than these are not sent; the log has all.")

    OTEL_EXPORTER_OTLP_ENDPOINT: Url | None = Field(None, description="Traces go there: http://collector:4318")
    OTEL_EXPORTER_OTLP_HEADERS: SecretStr | None = Field(None, description="Sent with them: authorization=Bearer abc")
    OTEL_TRACES_SAMPLER_ARG: float = Field(1, ge=0, le=1, description="Share of the requests that is traced.")
    SW_AGENT_COLLECTOR_BACKEND_SERVICES: str | None = Field(None, description="SkyWalking's collector: host:11800")
    SENTRY_DSN: SecretStr | None = Field(None, description="Errors go there too: https://key@sentry.example/1")

    NACOS_SERVER_ADDR: Servers = Field(
        (), description="Nacos to register with, comma separated: host:8848. Unset: none."
    )
    NACOS_API: Literal["v1", "v3", "off"] = Field("v3", description="v1 for Nacos 1 and 2, v3 for Nacos 3, off.")
    NACOS_NAMESPACE: str = Field("public", description="Its namespace.")
    NACOS_GROUP: str = Field("DEFAULT_GROUP", description="Its group.")
    NACOS_CLUSTER: str = Field("DEFAULT", description="Its cluster.")
    NACOS_SERVICE: str | None = Field(None, description="Name to register under. Unset: APP_NAME in lower case.")
    NACOS_IP: str | None = Field(None, description="Address to register. Unset: the one that Nacos is reached from.")
    NACOS_PORT: int | None = Field(None, ge=1, le=65535, description="Port to register. Unset: PORT.")
    NACOS_USERNAME: str | None = Field(None, description="User of Nacos, when it wants one.")
    NACOS_PASSWORD: SecretStr | None = Field(None, description="That user's password.")

    @field_validator("MAIL_FROM")
    @classmethod
    def _mail_has_a_sender(cls, value: str | None, info: ValidationInfo) -> str | None:
        user = info.data.get("MAIL_USERNAME") or ""
        if info.data.get("MAIL_HOST") and not re.fullmatch(MAILBOX, value or user):
            raise ValueError("MAIL_HOST is set, so this must be an address: Shop <shop@example.com>")
        return value
