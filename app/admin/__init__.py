"""For admins: who has an account, and how this instance is. Others get 404, as if it did not exist.

A feature adds its own page to the navigation here: `app.extensions["admin_pages"].append((endpoint, text))`.
"""

from flask import Flask

from app.admin.views import blueprint


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/admin")
    app.extensions["admin_pages"][:0] = [("admin.index", "Status"), ("admin.users", "Users")]
