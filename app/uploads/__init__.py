"""Images that users send: known by their content, stored under a random name outside static, served as data only.

Nothing here is ever executed: the type in the answer is ours, browsers are told not to guess another one, and the
content policy of an upload allows nothing at all. Several machines share the folder `uploads` of INSTANCE_PATH.
"""

from flask import Flask

from app.uploads.files import image_fault, kept_on_success, remove_image, store_image
from app.uploads.views import blueprint

__all__ = ["image_fault", "init_app", "kept_on_success", "remove_image", "store_image"]


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/uploads")
