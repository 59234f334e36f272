"""Jobs: what app/platform/tasks.py names waits in a table until extras/worker does it: once, also after a crash."""

import functools

from flask import Flask

from app.extras.jobs import metrics, queue, ticks, views
from config import Config


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    app.register_blueprint(views.blueprint, url_prefix="/jobs")
    app.register_blueprint(views.admin, url_prefix="/admin/jobs")
    app.extensions["admin_pages"].append(("admin_jobs.index", "Jobs"))
    app.extensions.setdefault("checks", []).append("app.extras.jobs.checks")
    app.extensions["queue"], app.extensions["ticks"] = queue, ticks.of_all_tasks
    if settings.JOBS != "off":
        app.extensions["collectors"].append(functools.partial(metrics.collect, app))
