"""The page of the administration with the last result of `flask doctor`, as it was stored in the instance folder.

And the answer that `flask doctor --url` asks for: what the application makes of a request that came through proxies.
Only who has this application's secret gets it; for others there is nothing here.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, abort, current_app, jsonify, render_template, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from app.platform.security import admins_only
from app.platform.version import version

STORED = "doctor.json"  # in the instance folder: what the page of the administration shows
PROBE_PATH, PROBE_HEADER, PROBE_SALT = "/doctor/seen", "X-Doctor", "doctor"
PROBE_SECONDS = 60  # for which a signature counts

blueprint = Blueprint("admin_doctor", __name__, template_folder="templates")


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint, url_prefix="/admin/doctor")
    app.add_url_rule(PROBE_PATH, "doctor_seen", seen)
    app.extensions["admin_pages"].append(("admin_doctor.index", "Checklist"))


@blueprint.get("/")
@admins_only
def index() -> str:
    """What is to be done comes first."""
    result, fault = _stored(Path(current_app.instance_path, STORED))
    return render_template("doctor/admin.html", result=result, fault=fault, order=("FAIL", "WARN", "SKIP", "OK"))


def seen() -> Response:
    signer = URLSafeTimedSerializer(str(current_app.secret_key), salt=PROBE_SALT)
    try:
        signer.loads(request.headers.get(PROBE_HEADER, ""), max_age=PROBE_SECONDS)
    except BadSignature:
        abort(404)
    user = os.geteuid() if hasattr(os, "geteuid") else None
    about = {"version": version(), "user": user, "debug": current_app.debug or current_app.testing}
    answer = jsonify(client=request.remote_addr, host=request.host, scheme=request.scheme, **about)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _stored(path: Path) -> tuple[dict[str, Any], str]:
    """The result, and why there is none; a file that was spoilt is as none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {**found, "at": datetime.fromisoformat(found["time"]), "findings": list(found["findings"])}, ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, TypeError, KeyError) as error:
        return {}, str(error)
