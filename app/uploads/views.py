import re

from flask import Blueprint, abort, send_from_directory
from werkzeug.wrappers import Response

from app.uploads.files import NAME, folder

A_YEAR = 365 * 86400  # seconds

blueprint = Blueprint("uploads", __name__)


@blueprint.get("/<name>")
def image(name: str) -> Response:
    if not re.fullmatch(NAME, name, re.ASCII):
        abort(404)
    response = send_from_directory(folder(), name, max_age=A_YEAR)
    response.cache_control.public = True
    response.cache_control.immutable = True  # another image has another name
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
