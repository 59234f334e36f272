"""Registers this server with Nacos, so that others find it: once for all its processes, as long as one of them serves.

Off until NACOS_SERVER_ADDR names one. It must never delay a start, a request, or, by more than a second, a stop.
"""

import re
from collections.abc import Callable

from flask import Flask

from app.extras.registry.nacos import Instance, Nacos, own_address
from config import Config


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    if not settings.NACOS_SERVER_ADDR or settings.NACOS_API == "off":
        return

    def begin(port: int | None, is_ending: Callable[[], bool], is_recycled: Callable[[], bool]) -> None:
        from app.extras.registry.registration import Registration  # only who serves needs it

        port = settings.NACOS_PORT or port or settings.PORT
        Registration(app, nacos_of(settings), lambda: instance_of(settings, port), port, is_ending, is_recycled).start()

    app.extensions.setdefault("when_serving", []).append(begin)


def nacos_of(settings: Config) -> Nacos:
    password = settings.NACOS_PASSWORD.get_secret_value() if settings.NACOS_PASSWORD else ""
    return Nacos(settings.NACOS_SERVER_ADDR, settings.NACOS_API, settings.NACOS_USERNAME, password)


def instance_of(settings: Config, port: int) -> Instance:
    """What is registered. Raises OSError when NACOS_IP is unset and no route leads to Nacos."""
    from app.platform.version import version

    return Instance(
        service=settings.NACOS_SERVICE or re.sub(r"[^a-z0-9]+", "-", settings.APP_NAME.lower()).strip("-") or "app",
        ip=settings.NACOS_IP or own_address(settings.NACOS_SERVER_ADDR),
        port=port,
        namespace=settings.NACOS_NAMESPACE,
        group=settings.NACOS_GROUP,
        cluster=settings.NACOS_CLUSTER,
        version=version(),
    )
