"""Push: connections that stay open, on which a page is told what extras/events keeps, the moment it is published."""

from flask import Flask

from app.extras.push import views
from app.extras.push.hub import Hub


def init_app(app: Flask) -> None:
    """Without extras/events there is nothing to tell: who deletes that one deletes this, too."""
    if bus := app.extensions.get("bus"):
        app.extensions["push"] = Hub(bus, app.extensions)
        app.register_blueprint(views.blueprint)
