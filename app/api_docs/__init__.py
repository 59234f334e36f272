"""What the API says of itself: an OpenAPI document for programs, a page for people, both made from the views."""

from flask import Flask

from app.api_docs.views import blueprint


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/api")
    app.extensions["navigation"].append(("api_docs.index", "API"))
