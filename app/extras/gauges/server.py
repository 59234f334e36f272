"""What runs here, since when, and how much it does at this moment."""

import os
import platform
import time
from collections.abc import Iterable

from flask import Flask
from prometheus_client.core import GaugeMetricFamily, Metric

from app.extras.gauges import requests
from app.platform.metrics import STARTED
from app.platform.version import version

_imported = time.time()  # for servers whose parent is not ours


def in_flight() -> Iterable[Metric]:
    pages = list(requests.pages())
    now = sum(page.count(1) for page in pages)
    yield GaugeMetricFamily("http_requests_in_flight", "Requests that are being handled, open streams too.", value=now)
    yield GaugeMetricFamily("http_processes", "Processes that have handled a request, and live.", value=len(pages))


def about() -> Iterable[Metric]:
    info = GaugeMetricFamily("app_info", "Always 1: what runs.", labels=["version", "python"])
    info.add_metric([version(), platform.python_version()], 1)
    yield info
    started = float(os.environ.get(STARTED) or _imported)
    yield GaugeMetricFamily("server_start_time_seconds", "When the server started, or was reloaded.", value=started)


def maintenance(app: Flask) -> Iterable[Metric]:
    """Whether visitors get 503 on purpose. A process that only answers scrapes looks at the live settings here."""
    if live := app.extensions.get("live_settings"):
        app.extensions["look_for_changes"]()
        yield GaugeMetricFamily("maintenance", "1 while the site is behind its notice, else 0.", value=live.closed)
