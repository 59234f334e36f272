"""What is going on now: requests in flight, how long they waited, the database's connections, and what runs here."""

import functools

from flask import Flask

from app.extensions import db
from app.extras.gauges import pool, server
from app.extras.gauges.requests import Watch
from config import Config


def init_app(app: Flask) -> None:
    settings: Config = app.extensions["settings"]
    app.extensions["watch"] = Watch(behind_proxy=settings.TRUSTED_PROXIES > 0)
    with app.app_context():
        pool.count(db.engine)
        size = functools.partial(pool.size, db.engine)
    app.extensions["collectors"] += [server.in_flight, server.about, size, functools.partial(server.maintenance, app)]
