import re

from flask import Blueprint, abort, send_from_directory
from werkzeug.wrappers import Response

from app.uploads.files import NAME, TYPES, folder

A_YEAR = 365 * 86400  # seconds

blueprint = Blueprint("uploads", __name__)


@blueprint.get("/<name>")
def image(name: str) -> Response:
    if not re.fullmatch(NAME, name, re.ASCII):
        abort(404)
    # The machine's own table of types may lack one.
    response = send_from_directory(folder(), name, mimetype=TYPES[name.rpartition(".")[2]], max_age=A_YEAR)
    response.cache_control.public = True
    response.cache_control.immutable = True  # another image has another name
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
