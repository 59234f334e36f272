"""The application factory: reads as a table of contents. Only this module knows all features."""

from flask import Flask

from app import account, admin, api, api_docs, auth, pages, posts, uploads
from app.extras import backup, events, gauges, jobs, live_settings, mail, push, registry, tracing, worker
from app.platform import (
    cache,
    database,
    doctor,
    errors,
    flags,
    gateway,
    health,
    logs,
    metrics,
    security,
    sessions,
    static_files,
)
from app.platform.version import version
from config import Config, load_config


def create_app(config: Config | str | None = None) -> Flask:
    """The application, as a WSGI callable. `config` is a Config, the name of an environment, or None for APP_ENV.

    Raises config.ConfigError, whose text lists every fault and its remedy.
    """
    settings = config if isinstance(config, Config) else load_config(config)
    settings.make_instance_folder()
    app = security.Application(__name__, instance_path=str(settings.INSTANCE_PATH))
    app.config.from_mapping(settings.flask_config())
    app.extensions["settings"] = settings
    app.jinja_env.globals.update(app_name=settings.APP_NAME, app_version=version(), flag=flags.flag)
    app.jinja_env.globals["navigation"] = app.extensions["navigation"] = []  # each feature adds its entry
    app.jinja_env.globals["admin_pages"] = app.extensions["admin_pages"] = []
    app.extensions["collectors"] = []  # of metrics that are read at each scrape

    # The platform: what every deployed application needs.
    logs.configure(settings)
    errors.init_app(app)
    sessions.init_app(app, settings)
    security.init_app(app)
    database.init_app(app, settings)
    cache.init_app(app, settings)
    doctor.init_app(app)

    # The features: delete a folder, its tests and its line, and the rest stays green.
    auth.init_app(app)
    account.init_app(app)
    admin.init_app(app)
    uploads.init_app(app)
    posts.init_app(app)
    api.init_app(app)
    api_docs.init_app(app)
    pages.init_app(app)

    # The extras: what some applications need. They go like features.
    backup.init_app(app)
    gauges.init_app(app)
    jobs.init_app(app)
    worker.init_app(app)
    registry.init_app(app)
    live_settings.init_app(app)
    mail.init_app(app)
    tracing.init_app(app)
    events.init_app(app)
    push.init_app(app)

    # Last, because they wrap what is above.
    static_files.init_app(app, settings.INSTANCE_PATH / "static")
    request_metrics = metrics.RequestMetrics(app.extensions["collectors"], app.extensions.get("watch"))
    app.extensions["exposition"] = request_metrics.exposition
    probes: gateway.Probes = {
        "/health": health.alive,
        "/up": health.alive,
        "/ready": health.Readiness(app, settings, version()),
        "/metrics": metrics.Endpoint(request_metrics, settings),
    }
    app.wsgi_app = gateway.Gateway(app.wsgi_app, settings, probes, request_metrics)  # type: ignore[method-assign]
    return app
