"""Posts: the example feature. Copy its shape for your own, then delete it: folder, tests, line in create_app."""

from flask import Flask

from app.posts import admin, api, reading
from app.posts.commands import seed
from app.posts.views import blueprint


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/posts")
    app.register_blueprint(api.blueprint, url_prefix="/api/v1/posts")
    app.register_blueprint(admin.blueprint, url_prefix="/admin/posts")
    app.cli.add_command(seed)
    app.extensions.setdefault("personal_data", {})["posts"] = reading.own_posts
    app.extensions["navigation"].append(("posts.index", "Posts"))
    app.extensions["admin_pages"].append(("admin_posts.index", "Posts"))
