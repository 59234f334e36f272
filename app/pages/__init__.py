"""The pages that need no data: home, about, and a tour of the small things."""

from flask import Flask

from app.pages.views import blueprint
from app.platform.flags import declare_flag

declare_flag("loud-greeting", "The tour greets louder.")


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    app.extensions["navigation"].append(("pages.about", "About"))
